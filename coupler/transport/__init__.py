# SPDX-License-Identifier: MIT
"""Fields on their way: packed into messages, or through shared memory."""
