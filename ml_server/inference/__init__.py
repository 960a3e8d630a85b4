# SPDX-License-Identifier: MIT
"""Networks run as fast as the machine allows."""
