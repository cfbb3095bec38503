"""Put bytecode into the archives in /archives. Runs in Pyodide, so it uses the standard library alone.

Nothing compares the bytecode with its source (`UNCHECKED_HASH`): an archive is unpacked as it is.
"""

from __future__ import annotations

import py_compile
import sys
import warnings
import zipfile
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

OURS = "lbkit"  # the archive that keeps its source, which learners read; others have bytecode in its place
PLACES = {".whl": "site-packages", ".zip": ""}  # where each kind of archive ends up, as tracebacks name it


def compile_archive(path: Path) -> None:
    """Write an archive anew, with the bytecode of its modules."""
    with zipfile.ZipFile(path) as archive:
        files = [(item, archive.read(item)) for item in archive.infolist()]
    home = Path("/lib", f"python{sys.version_info.major}.{sys.version_info.minor}", PLACES[path.suffix])
    ours = path.name.startswith(OURS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, data in files:
            name = item.filename
            compiled = bytecode(data, home / name) if name.endswith(".py") else b""
            if ours or not compiled:
                archive.writestr(item, data)
            if compiled:
                archive.writestr(cache_from_source(name) if ours else f"{name}c", compiled)


def bytecode(source: bytes, place: Path) -> bytes:
    """Return what a .pyc file holds; nothing if the source is not Python, as templates of it are not."""
    with TemporaryDirectory() as folder:
        module, compiled = Path(folder, "module.py"), Path(folder, "module.pyc")
        module.write_bytes(source)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            py_compile.compile(str(module), str(compiled), str(place), doraise=True, invalidation_mode=mode)
        except py_compile.PyCompileError:
            return b""
        return compiled.read_bytes()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of what is in others' modules
    for path in sorted(Path("/archives").iterdir()):
        compile_archive(path)
