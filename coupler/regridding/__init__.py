# SPDX-License-Identifier: MIT
"""Rows of weights applied where a worker's own padded arrays need them, and on the way back."""
