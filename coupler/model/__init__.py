# SPDX-License-Identifier: MIT
"""A model's half of the coupling in Python, and a model with synthetic fields."""
