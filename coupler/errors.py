# SPDX-License-Identifier: MIT
"""What goes wrong in a coupled job; here, so that it can be said without starting MPI."""

from __future__ import annotations


class CouplingError(Exception):
    """The coupling itself went wrong: got, expected, fix."""


class PartnerFailed(CouplingError):
    """Another rank said that it failed; it has printed why."""
