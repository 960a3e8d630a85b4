# SPDX-License-Identifier: MIT
"""A worker with a predictor to load, and fields to give it; no model is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec
from ml_server.predictor import Predictor, load_for
from predictors.networks import Convolutions

NX, NY, NZ, HALO = 13, 9, 3, 2


def write_spec(
    directory: Path, predictor: dict[str, Any], ranks: int = 2, halo: int | str = HALO
) -> Path:
    """Two fields of NZ levels and a static mask go to the worker, su and sv come back."""
    directory.mkdir(parents=True, exist_ok=True)
    spec = {
        "run": {"dt": 10, "steps": 3},
        "components": {
            "ocean": {"command": "true"},
            "closure": {"worker": True, "ranks": ranks, "predictor": predictor},
        },
        "grids": {"grid": {"size": {"x": NX, "y": NY, "z": NZ}}},
        "exchanges": [
            {
                **{"from": "ocean", "to": "closure", "halo": halo, "wire": "float64"},
                **{"fields": ["u", "v"], "static": ["mask"]},
            },
            {"from": "closure", "to": "ocean", "fields": ["su", "sv"]},
        ],
    }
    path = directory / "case.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def loaded(
    directory: Path, predictor: dict[str, Any], ranks: int = 2
) -> tuple[CouplingSpec, Predictor]:
    spec = load_spec(write_spec(directory, predictor, ranks))
    return spec, load_for(spec, "closure")


def fields(seed: int = 0) -> dict[str, np.ndarray]:
    """Padded (level, y, x), float64."""
    random = np.random.default_rng(seed)
    shape = (NZ, NY + 2 * HALO, NX + 2 * HALO)
    return {name: random.normal(size=shape) for name in ("u", "v")} | {
        "mask": (random.random((1, *shape[1:])) > 0.3).astype(float)
    }


def direct(given: dict[str, np.ndarray]) -> np.ndarray:
    """(level, su or sv, y, x): the network alone, on its two channels, in float32."""
    channels = torch.from_numpy(np.stack([given["u"], given["v"]], 1)).float()
    with torch.inference_mode():
        return Convolutions()(channels).numpy()
