"""Pyodide: Python compiled for browsers, of exactly the version that JupyterLite's kernel was made for."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

from jupyterlite_pyodide_kernel.constants import PYODIDE_PYTHON_VERSION, PYODIDE_VERSION

from lite.wheels import PYTHON

LIST = "pyodide-lock.json"  # of packages; its own names a great many that are elsewhere
STDLIB = "python_stdlib.zip"
FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", STDLIB, "package.json", LIST)


def name_as_js(site: Path, folder: Path) -> None:
    """Give Pyodide's modules in a site the ending .js.

    nginx and others have no type for .mjs, and a browser runs no module without one."""
    main, machine = folder / "pyodide.mjs", folder / "pyodide.asm.mjs"
    config = site / "jupyter-lite.json"
    for path, name in (main, machine.name), (config, main.name):
        text = path.read_text()
        assert name in text, f"{path} does not name {name}: another version?"
        path.write_text(text.replace(name, name.replace(".mjs", ".js")))
    for path in (main, machine):
        path.rename(path.with_suffix(".js"))


def fetch(cache: Path) -> Path:
    """Return the folder with Pyodide's files, from npm the first time. Raises SystemExit without npm."""
    assert PYODIDE_PYTHON_VERSION == PYTHON, "another Python: say so in wheels.py"
    folder = cache / f"pyodide-{PYODIDE_VERSION}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("make lite gets Pyodide from npm, which is not here: apt-get install npm")
    command = [npm, "pack", "--silent", f"pyodide@{PYODIDE_VERSION}", "--pack-destination", str(cache)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    partial = cache / "pyodide.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    with tarfile.open(cache / f"pyodide-{PYODIDE_VERSION}.tgz") as archive:
        for name in FILES:
            packed = archive.extractfile(f"package/{name}")
            assert packed is not None, name
            (partial / name).write_bytes(packed.read())
    return partial.rename(folder)
