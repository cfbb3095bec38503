"""Imported by every Python that starts with this folder on PYTHONPATH: hides packages and programs.

BARE_PACKAGES and BARE_PROGRAMS name them, and are inherited by all processes that a notebook starts.
"""

import os
import shutil
import sys

for _package in os.environ["BARE_PACKAGES"].split():
    sys.modules[_package] = None  # type: ignore[assignment]  # an import fails as if it were not installed

_programs = set(os.environ["BARE_PROGRAMS"].split())
_which = shutil.which


def which(name, *args, **options):
    return None if name in _programs else _which(name, *args, **options)


shutil.which = which
