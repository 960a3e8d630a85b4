#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Copy the client's Fortran modules to the include directory: install_modules.py FROM TO."""

import os
import shutil
import sys
from pathlib import Path

source, relative = Path(sys.argv[1]), sys.argv[2]
target = Path(os.environ["MESON_INSTALL_DESTDIR_PREFIX"]) / relative
target.mkdir(parents=True, exist_ok=True)
for module in [source / "halocline.mod", *source.glob("hcl_*.mod")]:
    shutil.copy(module, target)
