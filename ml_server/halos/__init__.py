# SPDX-License-Identifier: MIT
"""How far a network reads, and whether its ranks answer as one."""
