# SPDX-License-Identifier: MIT
"""Networks from files and classes, as functions of named fields."""
