# SPDX-License-Identifier: MIT
"""What goes wrong with a predictor."""


class PredictorError(Exception):
    """The predictor cannot be loaded or called as the spec asks."""
