# SPDX-License-Identifier: MIT
"""A worker with a loop of its own. Usage: own_loop.py SPEC"""

from __future__ import annotations

import sys

from coupler import Component

with Component("closure", spec=sys.argv[1]) as closure:
    for step in closure.steps():
        step["su"], step["sv"] = 0 * step["u"], 0 * step["v"]
