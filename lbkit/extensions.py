"""Serves the compiled versions of lbkit's modules, where they were built and fit the readable ones.

`make compiled` (python -m native) compiles modules into `_compiled/<interpreter>/`, beside a manifest with a
hash of each source. They are used if every hash fits, else none of them is: an edited .py always runs. This
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

GROUP = "lbkit__mypyc"  # the library with the code of all modules; each module's own file only starts it
PACKAGE = Path(__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0] if EXTENSION_SUFFIXES else ".so"  # a browser's Python has none
FOLDER = PACKAGE / "_compiled" / SUFFIX.split(".")[1]  # such as cpython-311-x86_64-linux-gnu
MANIFEST = "manifest.json"
SEEN = "seen.json"
DOCS = "docs.json"

STALE = "sources are newer than the compiled ones: running readable Python; `make compiled` builds them anew"


class CompiledFinder:
    """Finds the compiled modules before Python finds their sources."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self.names = frozenset((GROUP, *names))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.names:
            return None
        place = os.path.join(self.folder, *name.split(".")) + SUFFIX
        return spec_from_file_location(name, place, loader=ExtensionFileLoader(name, place))


def source_of(name: str, package: Path = PACKAGE) -> str:
    """Return the path of the readable module."""
    return os.path.join(package, *name.split(".")[1:]) + ".py"


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()


def fits(folder: Path, hashes: Mapping[str, str], package: Path = PACKAGE) -> bool:
    """Return whether the sources are those that were compiled.

    Files that have not been touched since they fitted are not read again."""
    try:
        touched = []
        for name in hashes:
            stat = os.stat(source_of(name, package))
            touched.append([stat.st_size, stat.st_mtime_ns])
        seen = folder / SEEN
        if seen.exists() and json.loads(seen.read_bytes()) == touched:
            return True
        if any(digest(source_of(name, package)) != wanted for name, wanted in hashes.items()):
            return False
    except (OSError, ValueError):
        return False
    with suppress(OSError):  # a folder that only others may write to: then the sources are read each time
        fresh = folder / f"{SEEN}.{os.getpid()}"  # two processes may be here at once
        fresh.write_text(json.dumps(touched))
        os.replace(fresh, seen)
    return True


_why_pure = "not asked for"


def install() -> None:
    """Serve the compiled modules from now on. Prints a line if there are some that cannot be used."""
    global _why_pure
    if os.environ.get("LBKIT_PURE", "0") not in ("", "0"):
        _why_pure = "LBKIT_PURE is set"
        return
    try:
        hashes = json.loads((FOLDER / MANIFEST).read_bytes())
    except FileNotFoundError:
        _why_pure = "not compiled: `make compiled` does it"
        return
    _why_pure = _serve(hashes) if fits(FOLDER, hashes) else STALE
    if _why_pure:
        print(f"lbkit: {_why_pure}", file=sys.stderr)
        os.environ["LBKIT_PURE"] = "1"  # for processes started from here, which need not say it again


def _serve(hashes: Mapping[str, str]) -> str:
    finder = CompiledFinder(FOLDER, hashes)
    sys.meta_path.insert(0, finder)
    try:
        import_module("librt.vecs")  # what mypyc's code uses at run time
        import_module(GROUP)
    except ImportError as error:
        sys.meta_path.remove(finder)
        return f"the compiled modules cannot be loaded ({error}): running readable Python"
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
    """Return whether lbkit's hot modules run compiled; else they are readable Python, which is slower."""
    return not _why_pure


def why_pure() -> str:
    """Return why they do not, or nothing."""
    return _why_pure


def readable_init(cls: type) -> Callable[..., None]:
    """Return the `__init__` of a class; of a compiled one, a function with the parameters of its source.

    Of compiled functions Python knows neither the types nor all defaults of parameters."""
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if isinstance(init, FunctionType):
            return init
        if init and (written := _written_init(base)):
            return written
    return object.__init__


def _written_init(cls: type) -> Callable[..., None] | None:
    """Return a function with the parameters of a class's `__init__`, which does nothing; None without one."""
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
