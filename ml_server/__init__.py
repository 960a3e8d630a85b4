# SPDX-License-Identifier: MIT
"""Predictors and the worker that runs them. The only MPI in here is the driver it is handed."""
