# SPDX-License-Identifier: MIT
"""`halocline doctor`: what is installed, what works here, and how to mend what does not."""
