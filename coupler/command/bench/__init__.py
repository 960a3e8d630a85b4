# SPDX-License-Identifier: MIT
"""`halocline bench NAME`: what things cost on this machine, beside what they could cost."""
