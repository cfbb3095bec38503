"""Bytecode for the site: a browser that compiles 700 modules of Python first starts six seconds later."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

HERE = Path(__file__).parent


def compile_archives(archives: Collection[Path], pyodide: Path, cache: Path) -> None:
    """Replace wheels and zip files of modules by such with bytecode, compiled by Pyodide itself in Node.

    The cache keeps those of this build for the next one. Raises SystemExit without Node."""
    kept = cache / "bytecode"
    names = {path: f"{fingerprint(path)}-{path.name}" for path in archives}
    new = [path for path, name in names.items() if not (kept / name).is_file()]
    for old in kept.glob("*"):
        if old.name not in names.values():
            old.unlink()
    if new:
        work = cache / "compiling"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        kept.mkdir(exist_ok=True)
        for path in new:
            shutil.copyfile(path, work / path.name)
        run_in_pyodide(HERE / "archives.py", work, pyodide)
        for path in new:
            (work / path.name).rename(kept / names[path])
    for path, name in names.items():
        shutil.copyfile(kept / name, path)


def fingerprint(path: Path) -> str:
    """Return what tells this content, and the way it is compiled, from others."""
    content = (HERE / "archives.py").read_bytes() + path.read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def run_in_pyodide(script: Path, folder: Path, pyodide: Path) -> None:
    node = shutil.which("node")
    if node is None:
        raise SystemExit("make lite runs Pyodide in node, which is not here: apt-get install nodejs")
    done = subprocess.run(
        [node, str(HERE / "bytecode.mjs"), str(pyodide), str(script), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"Python modules could not be compiled:\n{done.stderr}")
