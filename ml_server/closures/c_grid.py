# SPDX-License-Identifier: MIT
"""What closures of velocity gradients share: metrics, gradients, the force of a stress. C-grid.

The written form is docs/closures.md. Every line rounds exactly as the line of zanna_bolton.f90 with
the same name does: one rounding per operation, in the written order. In float64 the two therefore
agree bit for bit, whatever the tile. Convolutions, fused multiply-add and `alpha=` arguments would
break that and are not used.

Arrays shrink as stencils eat the padding. The comments give the index range that is left, of a
padded axis 0..n-1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Statics(NamedTuple):
    """Padded metrics [m, m2] and masks [0 or 1], each (1, y, x); dry points hold 1 for a metric."""

    dx_t: Tensor
    dy_t: Tensor
    dx_u: Tensor
    dy_u: Tensor
    dx_v: Tensor
    dy_v: Tensor
    dx_f: Tensor
    dy_f: Tensor
    area_t: Tensor
    area_u: Tensor
    area_v: Tensor
    area_f: Tensor
    mask_t: Tensor
    mask_u: Tensor
    mask_v: Tensor
    mask_f: Tensor


class GradientClosure(torch.nn.Module):
    """A force made of a stress that is made of velocity gradients; what differs is the stress."""

    halo: int  # cells that it reads on each side
    levels_independent = True

    def stress(self, gradients: Tensor, statics: Statics) -> Tensor:
        """Return Txx, Tyy (T points) and Txy (corners), stacked, [m2 s-2], of what
        `velocity_gradients` returns; as much narrower as is read."""
        raise NotImplementedError

    def forward(
        self,
        u: Tensor,
        v: Tensor,
        h: Tensor,
        dx_t: Tensor,
        dy_t: Tensor,
        dx_u: Tensor,
        dy_u: Tensor,
        dx_v: Tensor,
        dy_v: Tensor,
        dx_f: Tensor,
        dy_f: Tensor,
        area_t: Tensor,
        area_u: Tensor,
        area_v: Tensor,
        area_f: Tensor,
        mask_t: Tensor,
        mask_u: Tensor,
        mask_v: Tensor,
        mask_f: Tensor,
    ) -> dict[str, Tensor]:
        """Return su on east faces and sv on north faces [m s-2], each (level, y, x).

        u, v [m s-1] on east and north faces and h [m] are (level, y, x), padded by at least
        `halo` cells; lengths [m], areas [m2] and masks [0 or 1] are (y, x) or (1, y, x), padded
        alike. The output has the padded shape: valid from `halo` cells inwards, 0 in the rim and
        on closed faces. What dry points hold, NaN included, never enters.
        """
        require_padding(u, self.halo, type(self).__name__)
        statics = clean_statics(
            (dx_t, dy_t, dx_u, dy_u, dx_v, dy_v, dx_f, dy_f, area_t, area_u, area_v, area_f),
            (mask_t, mask_u, mask_v, mask_f),
            u,
        )
        u, v, h = sea_only(u, v, h, statics)
        stress = self.stress(velocity_gradients(u, v, statics), statics)
        su, sv = stress_divergence(stress, h, statics)
        rim = (self.halo,) * 4
        return {
            "su": torch.nn.functional.pad(su, rim),
            "sv": torch.nn.functional.pad(sv, rim),
        }


def clean_statics(metrics: tuple[Tensor, ...], masks: tuple[Tensor, ...], like: Tensor) -> Statics:
    """Bring statics to (1, y, x) and the type of `like`, with metric 1 at dry points.

    Outside closed boundaries a worker holds 0 or nothing sensible: 1 keeps quotients finite there,
    also in the backward pass, and every such quotient is multiplied by a zero later.
    """

    def plane(static: Tensor) -> Tensor:
        return static.to(like).reshape(1, *like.shape[-2:])

    mask_t, mask_u, mask_v, mask_f = (plane(mask) for mask in masks)
    lengths = (mask_t, mask_t, mask_u, mask_u, mask_v, mask_v, mask_f, mask_f)
    areas = (mask_t, mask_u, mask_v, mask_f)
    clean = (
        torch.where(mask > 0, plane(metric), 1.0)
        for metric, mask in zip(metrics, lengths + areas, strict=True)
    )
    return Statics._make([*clean, mask_t, mask_u, mask_v, mask_f])


def require_padding(u: Tensor, halo: int, name: str) -> None:
    """Raises ValueError where u is not (level, y, x) with one cell or more inside the padding."""
    smallest = 2 * halo + 1
    if u.dim() != 3 or min(u.shape[-2:]) < smallest:
        raise ValueError(
            f"{name}: got shape {tuple(u.shape)}, expected (level, y, x) with y and x at least "
            f"{smallest}; pad each side by halo = {halo} cells"
        )


def sea_only(u: Tensor, v: Tensor, h: Tensor, statics: Statics) -> tuple[Tensor, Tensor, Tensor]:
    """u, v, h with 0 at dry points: replaced, not multiplied, so that not even NaN gets through."""
    return (
        torch.where(statics.mask_u > 0, u, 0.0),
        torch.where(statics.mask_v > 0, v, 0.0),
        torch.where(statics.mask_t > 0, h, 0.0),
    )


def velocity_gradients(u: Tensor, v: Tensor, statics: Statics) -> Tensor:
    """Return tension (T points 1..n-1), shear and vorticity (corners 0..n-2), stacked, [s-1]."""
    s = statics
    dy_dx_t, dx_dy_t = (s.dy_t / s.dx_t)[..., 1:, 1:], (s.dx_t / s.dy_t)[..., 1:, 1:]
    tension = (
        dy_dx_t * _delta_x(u / s.dy_u)[..., 1:, :] - dx_dy_t * _delta_y(v / s.dx_v)[..., :, 1:]
    )
    dx_dy_f, dy_dx_f = (s.dx_f / s.dy_f)[..., :-1, :-1], (s.dy_f / s.dx_f)[..., :-1, :-1]
    shear = (
        dx_dy_f * _delta_y(u / s.dx_u)[..., :, :-1] + dy_dx_f * _delta_x(v / s.dy_v)[..., :-1, :]
    )
    circulation = _delta_x(v * s.dy_v)[..., :-1, :] - _delta_y(u * s.dx_u)[..., :, :-1]
    vorticity = circulation / s.area_f[..., :-1, :-1]
    inner_corner = s.mask_f[..., :-1, :-1] > 0
    return torch.stack(
        (
            tension,
            torch.where(inner_corner, shear, 0.0),
            torch.where(inner_corner, vorticity, 0.0),
        )
    )


def stress_divergence(stress: Tensor, h: Tensor, statics: Statics) -> tuple[Tensor, Tensor]:
    """Return su, sv over r+1..n-2-r from a stress over r..n-1-r, [m s-2]."""
    s = statics
    r = (h.shape[-1] - stress.shape[-1]) // 2
    txx, tyy, txy = stress.unbind()
    h_t = trim(h, r)
    h_f = mean_of_four(h[..., r:, r:])[..., : txy.shape[-2], : txy.shape[-1]]
    dx_t, dy_t, dx_f, dy_f = (trim(length, r) for length in (s.dx_t, s.dy_t, s.dx_f, s.dy_f))
    flux_xx = (txx * h_t) * (dy_t * dy_t)
    flux_yy = (tyy * h_t) * (dx_t * dx_t)
    flux_xy = txy * h_f

    u_x = _delta_x(flux_xx)[..., 1:-1, 1:]
    u_y = _delta_y((dx_f * dx_f) * flux_xy)[..., :-1, 1:-1]
    v_y = _delta_y(flux_yy)[..., 1:, 1:-1]
    v_x = _delta_x((dy_f * dy_f) * flux_xy)[..., 1:-1, :-1]
    h_u = 0.5 * (h_t[..., 1:-1, 1:-1] + h_t[..., 1:-1, 2:])
    h_v = 0.5 * (h_t[..., 1:-1, 1:-1] + h_t[..., 2:, 1:-1])

    dx_u, dy_u, area_u, mask_u = (trim(a, r + 1) for a in (s.dx_u, s.dy_u, s.area_u, s.mask_u))
    dx_v, dy_v, area_v, mask_v = (trim(a, r + 1) for a in (s.dx_v, s.dy_v, s.area_v, s.mask_v))
    su = _acceleration(u_x / dy_u + u_y / dx_u, area_u, h_u, mask_u)
    sv = _acceleration(v_y / dx_v + v_x / dy_v, area_v, h_v, mask_v)
    return su, sv


def _acceleration(force: Tensor, area: Tensor, thickness: Tensor, mask: Tensor) -> Tensor:
    """Divide by the volume of a face; closed and massless faces get +0."""
    moving = (mask > 0) & (thickness > 0)
    volume = area * torch.where(moving, thickness, 1.0)
    return torch.where(moving, force / volume, 0.0)


def _delta_x(field: Tensor) -> Tensor:
    return field[..., 1:] - field[..., :-1]


def _delta_y(field: Tensor) -> Tensor:
    return field[..., 1:, :] - field[..., :-1, :]


def mean_of_four(field: Tensor) -> Tensor:
    """Return ((SW + NE) + (NW + SE)) / 4: the pairs make mirrored fields give mirrored bits."""
    south_west, north_east = field[..., :-1, :-1], field[..., 1:, 1:]
    north_west, south_east = field[..., 1:, :-1], field[..., :-1, 1:]
    return 0.25 * ((south_west + north_east) + (north_west + south_east))


def trim(field: Tensor, width: int) -> Tensor:
    if width == 0:
        return field
    return field[..., width:-width, width:-width]
