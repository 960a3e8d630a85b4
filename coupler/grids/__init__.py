# SPDX-License-Identifier: MIT
"""Grids: made from a spec or read from a file, with corners, areas and masks."""
