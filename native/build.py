"""Compiles the modules of `modules.toml` with mypyc into one shared library.

The generated C and its object files stay in `build/native`, so only changed modules are compiled again.
LBKIT_OPTIMIZE=0 in the environment cuts the C compiler's time to a third; the result is slower.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import setuptools  # before mypyc, which then uses it instead of distutils
from mypyc.build import mypycify
from setuptools.command.build_ext import build_ext

from native.table import ROOT, CompileError, extensions, hashes

LAZY = re.compile(r"(?P<file>.*):(?P<line>\d+): warning: Treating generator comprehension as list")
DEFAULT = re.compile(r"(?P<file>.*):(?P<line>\d+): warning: Unsupported default attribute value")
OPTIMIZE = os.environ.get("LBKIT_OPTIMIZE", "2")


def build(folder: Path, jobs: int = os.cpu_count() or 1) -> None:
    """Compile into `folder`, which is replaced only on success. CompileError has the compilers' output."""
    manifest = hashes()
    for left in folder.parent.glob(f"{folder.name}.*"):  # by builds that were killed
        shutil.rmtree(left, ignore_errors=True)
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    with chdir(ROOT):  # mypyc takes the names of files in tracebacks from its arguments
        work = Path("build", "native", f"{extensions.FOLDER.name}-O{OPTIMIZE}")
        _to_machine_code(_to_c(list(manifest), work), work, fresh, jobs)
    (fresh / extensions.MANIFEST).write_text(json.dumps(manifest, indent=1))
    docs = {name: class_docs(extensions.source_of(name)) for name in manifest}
    (fresh / extensions.DOCS).write_text(json.dumps(docs))
    _replace(folder, fresh)


def class_docs(source: str) -> dict[str, str]:
    """Return the docstrings of a module's classes, which mypyc leaves out."""
    classes = [
        node for node in ast.parse(Path(source).read_text("utf-8")).body if isinstance(node, ast.ClassDef)
    ]
    return {node.name: doc for node in classes if (doc := ast.get_docstring(node, clean=False))}


def _to_c(names: list[str], work: Path) -> list[Any]:
    said = StringIO()
    sys.setrecursionlimit(10_000)
    try:
        with redirect_stdout(said):
            paths = [name.replace(".", "/") + ".py" for name in names]
            made: list[Any] = mypycify(
                ["--config-file", "pyproject.toml", *paths],
                opt_level=OPTIMIZE,
                debug_level="0",
                multi_file=True,  # a C file for each module: they are compiled side by side
                target_dir=str(work),
                group_name=extensions.GROUP.removesuffix("__mypyc"),
            )
    except SystemExit:
        raise CompileError(said.getvalue().strip()) from None
    harmed = [*kept_generators(said.getvalue()), *lost_defaults(said.getvalue())]
    if harmed:
        raise CompileError("\n".join(harmed))
    return made


def kept_generators(said: str) -> Iterator[str]:
    """Yield a message for each generator expression that mypyc would harm by turning it into a list.

    A list is fine if all items are consumed at once, as in `tuple(... for ...)`. But where a generator is
    kept, to try one server after another, all are computed before the first: up to 1,000 times slower."""
    for found in LAZY.finditer(said):
        file, line = found["file"], int(found["line"])
        for node in ast.walk(ast.parse(Path(file).read_text())):
            if isinstance(node, (ast.Assign, ast.Return, ast.YieldFrom, ast.IfExp)):
                unpacked = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
                inside = ast.iter_child_nodes(node)
                lines = {part.lineno for part in inside if isinstance(part, ast.GeneratorExp)}
                if line in lines and not unpacked:
                    yield f"{file}:{line}: would become a list: use a loop, or a function with `yield`"


def lost_defaults(said: str) -> Iterator[str]:
    """Yield a message for each attribute of a class whose value is computed.

    mypyc makes it an attribute of each object, computed anew, and the class itself has none."""
    for file, line in sorted({(found["file"], int(found["line"])) for found in DEFAULT.finditer(said)}):
        yield f"{file}:{line}: no attribute of the class: declare a ClassVar, or assign it in a constructor"


class _Build(build_ext):  # type: ignore[misc]
    """Compiles the files of each extension side by side, and only those that have changed."""

    jobs = 1

    def build_extensions(self) -> None:
        one_by_one, object_names = self.compiler.compile, self.compiler.object_filenames
        pool = ThreadPoolExecutor(self.jobs)

        def compile_file(source: str, output_dir: str, depends: list[str], **options: Any) -> list[str]:
            made: list[str] = object_names([source], output_dir=output_dir)
            born = os.path.getmtime(made[0]) if os.path.exists(made[0]) else 0.0
            if any(os.path.getmtime(path) > born for path in (source, *depends)):
                one_by_one([source], output_dir=output_dir, depends=depends, **options)
            return made

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            made = pool.map(lambda source: compile_file(source, **options), sources)
            return [path for paths in made for path in paths]

        self.compiler.compile = compile_all
        with pool:
            super().build_extensions()


def _to_machine_code(made: list[Any], work: Path, to: Path, jobs: int) -> None:
    command = _Build(setuptools.Distribution({"name": "lbkit", "ext_modules": made}))
    command.build_lib, command.build_temp = str(to), str(work / "objects")
    command.jobs = command.parallel = jobs
    command.ensure_finalized()
    try:
        command.run()
    except Exception as error:  # of setuptools' many kinds: no compiler, no headers, no space left
        shutil.rmtree(to, ignore_errors=True)
        raise CompileError(str(error)) from None


def _replace(folder: Path, fresh: Path) -> None:
    """Replace a folder that running processes may use; they keep what they have loaded."""
    old = folder.with_name(f"{fresh.name}.old")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
