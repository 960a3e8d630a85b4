# SPDX-License-Identifier: MIT
"""Ocean closures as torch modules. Each has `halo`: the padding [cells] that its stencils read."""

from ml_server.closures.bodner import BodnerMLE
from ml_server.closures.emulator import ZannaBoltonEmulator
from ml_server.closures.guillaumin_zanna import GuillauminZanna2021
from ml_server.closures.perezhogin import PerezhoginANN
from ml_server.closures.zanna_bolton import ZannaBolton2020

__all__ = [
    "BodnerMLE",
    "GuillauminZanna2021",
    "PerezhoginANN",
    "ZannaBolton2020",
    "ZannaBoltonEmulator",
]
