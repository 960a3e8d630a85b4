# SPDX-License-Identifier: MIT
"""Who owns which cell, what lies beyond a boundary, and which messages follow from it."""
