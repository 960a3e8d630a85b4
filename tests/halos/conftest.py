# SPDX-License-Identifier: MIT
"""These tests need torch."""

import pytest

pytest.importorskip("torch")
