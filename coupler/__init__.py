# SPDX-License-Identifier: MIT
"""Halocline's coupling layer: who owns which cell, halos, routing, transport, coupling time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coupler.component import Component
    from coupler.model.component import ModelComponent
    from coupler.routing.decomposition import Box

__all__ = ["Box", "Component", "ModelComponent"]


def __getattr__(name: str) -> Any:
    # MPI starts on import of mpi4py.MPI; `halocline plan` and the launcher must not start it
    if name == "Component":
        from coupler.component import Component

        return Component
    if name == "ModelComponent":
        from coupler.model.component import ModelComponent

        return ModelComponent
    if name == "Box":
        from coupler.routing.decomposition import Box

        return Box
    raise AttributeError(f"module 'coupler' has no attribute '{name}'")
