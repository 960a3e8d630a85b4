# SPDX-License-Identifier: MIT
"""Zanna-Bolton 2020 closure on a C-grid; the written form is docs/closures.md.

Every line rounds exactly as the line of zanna_bolton.f90 with the same name does, as in c_grid.py.
The comments give the index range that is left of a padded axis 0..n-1 after p sharpening and q
smoothing passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ml_server.closures.c_grid import GradientClosure, Statics, mean_of_four, trim

FILTER_WEIGHT = 0.0625  # 1/16: [1 2 1] x [1 2 1] sums to 16


@dataclass(frozen=True, slots=True)
class Preset:
    """Strength and filters of one published variant; gamma is dimensionless."""

    gamma: float
    sharpening_passes: int
    smoothing_passes: int

    @property
    def halo(self) -> int:
        """Cells read on each side: 2 by the differences, 1 by every filter pass."""
        return 2 + self.sharpening_passes + self.smoothing_passes


PRESETS = {
    "raw": Preset(gamma=0.5, sharpening_passes=0, smoothing_passes=0),
    "smooth": Preset(gamma=1.0, sharpening_passes=0, smoothing_passes=4),
    "reynolds": Preset(gamma=2.0, sharpening_passes=4, smoothing_passes=4),
}


class ZannaBolton2020(GradientClosure):
    """Subgrid momentum forcing from resolved velocity gradients.

    Zanna and Bolton 2020 (10.1029/2020GL088376), eq. 6, conservative form with the filters of
    Perezhogin et al. 2024 (10.1029/2023MS004104). `preset` is raw, smooth or reynolds; `gamma`
    replaces the strength of the preset. Stateless: no weights, nothing kept between calls.
    """

    def __init__(self, preset: str = "reynolds", gamma: float | None = None) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise ValueError(
                f"ZannaBolton2020: got preset {preset!r}, expected one of {', '.join(PRESETS)}"
            )
        chosen = PRESETS[preset]
        self.preset = preset
        self.gamma = chosen.gamma if gamma is None else float(gamma)
        self.sharpening_passes = chosen.sharpening_passes
        self.smoothing_passes = chosen.smoothing_passes
        self.halo = chosen.halo

    def extra_repr(self) -> str:
        return f"{self.preset!r}, gamma={self.gamma}, halo={self.halo}"

    def stress(self, gradients: Tensor, statics: Statics) -> Tensor:
        if self.sharpening_passes:
            mask_t, mask_f = statics.mask_t[..., 1:, 1:], statics.mask_f[..., :-1, :-1]
            weights = _filter_weights(mask_t, mask_f, mask_f)
            gradients = _sharpened(gradients, weights, self.sharpening_passes)
        stress = _stress(gradients, statics, self.gamma)
        if self.smoothing_passes:
            mask_t, mask_f = (
                trim(mask, 1 + self.sharpening_passes) for mask in (statics.mask_t, statics.mask_f)
            )
            weights = _filter_weights(mask_t, mask_t, mask_f)
            stress = _smoothed(stress, weights, self.smoothing_passes)
        return stress


def _sharpened(fields: Tensor, weights: Tensor, passes: int) -> Tensor:
    """Return what `passes` filter passes take away; the range shrinks by `passes` a side."""
    return trim(fields, passes) - _smoothed(fields, weights, passes)


def _smoothed(fields: Tensor, weights: Tensor, passes: int) -> Tensor:
    """Apply the filter [1 2 1] x [1 2 1] / 16, x first, zero at walls, `passes` times."""
    for _ in range(passes):
        along_x = (fields[..., :-2] + fields[..., 2:]) + 2.0 * fields[..., 1:-1]
        along_y = (along_x[..., :-2, :] + along_x[..., 2:, :]) + 2.0 * along_x[..., 1:-1, :]
        weights = trim(weights, 1)
        fields = along_y * weights
    return fields


def _filter_weights(*masks: Tensor) -> Tensor:
    return torch.stack(masks) * FILTER_WEIGHT


def _stress(gradients: Tensor, statics: Statics, gamma: float) -> Tensor:
    """Return Txx, Tyy (T points) and Txy (corners), stacked, over 1+p..n-2-p, [m2 s-2]."""
    tension, shear, vorticity = gradients.unbind()
    eaten = (statics.mask_t.shape[-1] - gradients.shape[-1] - 1) // 2  # p
    area_t, mask_t, area_f, mask_f = (
        trim(static, 1 + eaten)
        for static in (statics.area_t, statics.mask_t, statics.area_f, statics.mask_f)
    )
    area_corner = trim(statics.area_f[..., :-1, :-1], eaten)  # p..n-2-p
    tension_t = tension[..., :-1, :-1]
    shear_t, vorticity_t = mean_of_four(shear), mean_of_four(vorticity)
    half_square = 0.5 * ((vorticity_t * vorticity_t + shear_t * shear_t) + tension_t * tension_t)
    product = mean_of_four((area_corner * vorticity) * shear) / area_t
    kappa_t = (-gamma * area_t) * mask_t
    kappa_f = (-gamma * area_f) * mask_f
    return torch.stack(
        (
            kappa_t * (half_square - product),
            kappa_t * (half_square + product),
            kappa_f * (vorticity[..., 1:, 1:] * mean_of_four(tension)),
        )
    )
