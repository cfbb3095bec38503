"""Imports lbkit's modules compiled, if they were built from the present sources.

`make compiled` (python -m native) compiles modules into `_compiled/<interpreter>/`, beside a manifest with a
hash of each source. The compiled modules are used only if every hash fits, so an edited .py always runs. This
module is imported before all others of lbkit, and imports none of them.
"""

from __future__ import annotations
import __future__

import ast
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

GROUP = "lbkit__mypyc"  # the shared library with all the code; each module's own file only loads it
PACKAGE = Path(__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0] if EXTENSION_SUFFIXES else ".so"  # Python in a browser has none
FOLDER = PACKAGE / "_compiled" / SUFFIX.split(".")[1]  # such as cpython-311-x86_64-linux-gnu
MANIFEST = "manifest.json"  # module -> hash of its source
SEEN = "seen.json"  # size and time of the sources when their hashes last fitted
DOCS = "docs.json"  # module -> class -> docstring
SAID = "LBKIT_WHY_PURE_SAID"  # child processes need not say it again, but may find modules compiled meanwhile

STALE = "sources are newer than the compiled ones: running readable Python; `make compiled` builds them anew"
BROKEN = "the compiled modules cannot be loaded ({}): running readable Python; `make compiled` mends it"


class CompiledFinder:
    """A finder on `sys.meta_path` that loads compiled modules instead of their sources."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self.names = frozenset((GROUP, *names))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.names:
            return None
        place = place_of(name, self.folder)
        return spec_from_file_location(name, place, loader=ExtensionFileLoader(name, place))


def place_of(name: str, folder: Path) -> str:
    """Return the path of the compiled module."""
    return os.path.join(folder, *name.split(".")) + SUFFIX


def source_of(name: str, package: Path = PACKAGE) -> str:
    """Return the path of a module's source."""
    return os.path.join(package, *name.split(".")[1:]) + ".py"


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


def fits(folder: Path, hashes: Mapping[str, str], package: Path = PACKAGE) -> bool:
    """Return whether the sources are those that were compiled.

    Sources whose size and time have not changed since they last fitted are not read again."""
    try:
        touched = []
        for name in hashes:
            stat = os.stat(source_of(name, package))
            touched.append([stat.st_size, stat.st_mtime_ns])
        seen = folder / SEEN
        with suppress(OSError, ValueError):  # without it, or if it is broken, the sources are read
            if json.loads(seen.read_bytes()) == touched:
                return True
        if any(digest(source_of(name, package)) != wanted for name, wanted in hashes.items()):
            return False
    except (OSError, ValueError):
        return False
    with suppress(OSError):  # in a read-only folder, the sources are read each time
        fresh = folder / f"{SEEN}.{os.getpid()}"  # two processes may be here at once
        try:
            fresh.write_text(json.dumps(touched))
            os.replace(fresh, seen)
        except OSError:
            fresh.unlink(missing_ok=True)  # half of it: there is no space left
            raise
    return True


_why_pure = "lbkit.extensions.install was not called"


def install() -> None:
    """Import compiled modules from now on. Prints a line if there are some that cannot be used."""
    global _why_pure
    if os.environ.get("LBKIT_PURE", "0") not in ("", "0"):
        _why_pure = "LBKIT_PURE is set"
        return
    try:
        hashes = manifest(FOLDER)
        _why_pure = _serve(hashes) if fits(FOLDER, hashes) else STALE
    except FileNotFoundError:
        _why_pure = "not compiled: `make compiled` does it"
        return
    except (OSError, ValueError) as error:
        _why_pure = BROKEN.format(error)
    if _why_pure and not os.environ.get(SAID):
        print(f"lbkit: {_why_pure}", file=sys.stderr)
        os.environ[SAID] = "1"


def manifest(folder: Path) -> dict[str, str]:
    """Return the hash of the source of each compiled module. Raises OSError, ValueError for a broken file."""
    hashes = json.loads((folder / MANIFEST).read_bytes())
    if not (isinstance(hashes, dict) and all(isinstance(one, str) for one in hashes.values())):
        raise ValueError(f"{folder / MANIFEST} has no hashes by module")
    return hashes


def _serve(hashes: Mapping[str, str]) -> str:
    missing = [name for name in (GROUP, *hashes) if not os.path.exists(place_of(name, FOLDER))]
    if missing:  # a mix of compiled and readable modules would crash
        return BROKEN.format(f"{missing[0]} is missing")
    finder = CompiledFinder(FOLDER, hashes)
    sys.meta_path.insert(0, finder)
    try:
        import_module("librt.vecs")  # what mypyc's code uses at run time
        import_module(GROUP)
    except ImportError as error:
        sys.meta_path.remove(finder)
        return BROKEN.format(error)
    return ""


def document() -> None:
    """Give loaded classes of compiled modules their docstrings, which mypyc leaves out."""
    if not compiled():
        return
    with suppress(OSError, ValueError):  # they run without docstrings, too
        docs: dict[str, dict[str, str]] = json.loads((FOLDER / DOCS).read_bytes())
        for name in docs.keys() & sys.modules.keys():
            for cls, doc in docs[name].items():
                vars(sys.modules[name])[cls].__doc__ = doc


def compiled() -> bool:
    """Return whether lbkit's hot modules run compiled; if not, the same sources run interpreted."""
    return not _why_pure


def why_pure() -> str:
    """Return why the modules run interpreted; empty if they run compiled."""
    return _why_pure


def readable_init(cls: type) -> Callable[..., None]:
    """Return the `__init__` of a class; for a compiled class, a function with the same parameters.

    `inspect` finds neither types nor all defaults of a compiled function's parameters."""
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if isinstance(init, FunctionType):
            return init
        if init and (written := _written_init(base)):
            return written
    return object.__init__


def _written_init(cls: type) -> Callable[..., None] | None:
    """Return a function with the parameters of a class's `__init__` in the source, or None without one."""
    try:
        tree = ast.parse(Path(source_of(cls.__module__)).read_text(encoding="utf-8"))
    except OSError:  # a class of C
        return None
    wanted = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__]
    for node in wanted[0].body if wanted else ():
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            node.body = [ast.Pass(lineno=node.lineno, col_offset=0)]
            module = ast.Module([node], [])
            code = compile(module, cls.__module__, "exec", __future__.annotations.compiler_flag)
            made: dict[str, Any] = {}
            exec(code, vars(sys.modules[cls.__module__]), made)
            written: Callable[..., None] = made["__init__"]
            return written
    return None
