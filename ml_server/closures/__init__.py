# SPDX-License-Identifier: MIT
"""Ocean closures as torch modules. Each has `halo`: the padding [cells] that its stencils read."""

from ml_server.closures.zanna_bolton import ZannaBolton2020

__all__ = ["ZannaBolton2020"]
