# SPDX-License-Identifier: MIT
"""The command line `halocline`: check, plan, run, plot, bench. It starts no MPI of its own."""
