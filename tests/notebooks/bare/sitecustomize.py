"""Imported by every Python that starts with this folder on PYTHONPATH: hides packages and programs.

BARE_PACKAGES and BARE_PROGRAMS name them, and are inherited by all processes that a notebook starts.
"""

import importlib.metadata
import os
import shutil
import sys
from importlib.machinery import PathFinder

packages = set(os.environ["BARE_PACKAGES"].split())
programs = set(os.environ["BARE_PROGRAMS"].split())


class Finder(PathFinder):
    """Finds what is installed, without the hidden packages."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in packages:
            return None
        return PathFinder.find_spec(name, path, target)


def which(name, *args, find=shutil.which, **options):
    return None if name in programs else find(name, *args, **options)


def distribution(name, find=importlib.metadata.Distribution.from_name):
    """Find what is installed, without `lbkit`: environments older than the name `lbkit-lab` still have it."""
    if name == "lbkit":
        raise importlib.metadata.PackageNotFoundError(name)
    return find(name)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
shutil.which = which
importlib.metadata.Distribution.from_name = distribution
