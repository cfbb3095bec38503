"""Which modules are to be compiled (`modules.toml`), and whether they are up to date."""

from __future__ import annotations

import os
import shutil
import sysconfig
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class CompileError(Exception):
    """The modules cannot be compiled; the message has the compiler's output, or what is missing."""


def _extensions() -> Any:
    """Return lbkit.extensions without importing lbkit, whose dependencies may not be installed here."""
    spec = spec_from_file_location("extensions", ROOT / "lbkit" / "extensions.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


extensions = _extensions()


def modules() -> list[str]:
    """Return the names of the modules to compile, such as lbkit.core.pool. Raises CompileError."""
    table = tomllib.loads(Path(__file__).with_name("modules.toml").read_text())
    names: set[str] = set()
    for pattern in table["compiled"]:
        found = (ROOT / "lbkit").glob(f"{pattern}.py")
        paths = {path.relative_to(ROOT / "lbkit").with_suffix("").as_posix() for path in found}
        if not paths:
            raise CompileError(f"native/modules.toml: no module is called {pattern}")
        names |= paths
    unknown = table["readable"].keys() - names
    if unknown:
        raise CompileError(f"native/modules.toml: {', '.join(sorted(unknown))} would not be compiled anyway")
    compiled = [name for name in names - table["readable"].keys() if not name.endswith("__init__")]
    return sorted("lbkit." + name.replace("/", ".") for name in compiled)


def hashes() -> dict[str, str]:
    """Return a hash of the source of each module to compile."""
    return {name: extensions.digest(extensions.source_of(name)) for name in modules()}


def up_to_date(folder: Path) -> bool:
    """Return whether a folder has all modules, compiled from the present sources."""
    try:
        there = extensions.manifest(folder)
    except (OSError, ValueError):
        return False
    names = (extensions.GROUP, *there)
    return there == hashes() and all(Path(extensions.place_of(name, folder)).exists() for name in names)


def why_not() -> str:
    """Return what is missing to compile C for this Python; empty if nothing is."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"no {header} (apt-get install python3-dev)"
    # On Windows Python names no compiler; setuptools finds one or reports that it cannot.
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "").split()
    if command and not shutil.which(command[0]):
        return f"no C compiler {command[0]} (apt-get install gcc libc6-dev; macOS: xcode-select --install)"
    return ""
