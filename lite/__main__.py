"""Build the site: `python -m lite --to FOLDER`, or `make lite`."""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

from lite import runtime
from lite.bytecode import compile_archives
from lite.contents import check_folder, copy_notebooks
from lite.wheels import collect, empty, newest

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path(__file__).with_name("config")
FIRST = "00-playground.ipynb"  # the notebook that opens
STATIC = "static/pyodide"  # in the site: Pyodide, and the packages in its list
KERNEL = "@jupyterlite/pyodide-kernel-extension"
# Besides lbkit: what the kernel itself imports, and what makes figures.
PACKAGES = ("anywidget", "comm", "ipython", "ipywidgets", "micropip", "networkx", "plotly")
# The kernel asks for it, and works without it: it has 5,000 files, for completion before code has run.
LEFT_OUT = ("jedi",)
SMALL = (".html", ".js", ".mjs", ".css", ".json", ".wasm", ".svg", ".ipynb", ".md", ".txt")


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m lite", description=__doc__)
    arguments.add_argument("--to", type=Path, default=ROOT / "dist" / "lite", help="the site's folder")
    arguments.add_argument("--cache", type=Path, default=ROOT / "build" / "lite", help="what is fetched once")
    options = arguments.parse_args()
    build(options.to.resolve(), options.cache.resolve())
    print(f"{options.to}: {size(options.to):.0f} MB, {size(options.to, packed=True):.0f} MB gzipped")
    print(f"To try it: python -m http.server -d {options.to} -b 127.0.0.1")


def build(site: Path, cache: Path) -> None:
    """Build the site anew. What comes from package indexes is kept in the cache.

    Raises SystemExit for a folder with anything else in it: it would be deleted."""
    check_folder(site)
    cache.mkdir(parents=True, exist_ok=True)
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(CONFIG, work)
    copy_notebooks(ROOT / "notebooks", work / "files")
    lay_out_python(work / STATIC, cache)
    made = work / "site"  # moved when it is complete
    jupyter = [sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", "."]
    done = subprocess.run(
        [*jupyter, "--output-dir", str(made)], cwd=work, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"jupyter lite build failed:\n{done.stdout}{done.stderr}")
    runtime.name_as_js(made, made / STATIC)
    open_first_notebook(made / "index.html")
    shutil.rmtree(site, ignore_errors=True)
    site.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, site)


def open_first_notebook(page: Path) -> None:
    """Make the front page lead to the first notebook, and not to an empty JupyterLab."""
    forward, ours = "await import('./config-utils.js');", f"location.replace('lab/index.html?path={FIRST}');"
    text = page.read_text()
    assert forward in text, f"{page} is not the page that JupyterLite 0.8 writes"
    page.write_text(text.replace(forward, ours))


def lay_out_python(folder: Path, cache: Path) -> None:
    """Put Pyodide into a folder, with the wheels, and the list by which it finds them."""
    pyodide = runtime.fetch(cache)
    shutil.copytree(pyodide, folder)
    wheels = collect(PACKAGES, own_wheels(cache), ROOT / "requirements.lock", cache)
    laid = [*(wheel.trimmed(folder) for wheel in wheels), *(empty(name, folder) for name in LEFT_OUT)]
    compile_archives([folder / runtime.STDLIB, *(wheel.path for wheel in laid)], pyodide, cache)
    packages = {wheel.name: wheel.entry for wheel in laid}
    listed = json.loads((folder / runtime.LIST).read_text()) | {"packages": packages}
    (folder / runtime.LIST).write_text(json.dumps(listed, indent=1))


def own_wheels(cache: Path) -> list[Path]:
    """Return lbkit as a wheel, and those that come with JupyterLite's kernel."""
    made = cache / "lbkit"
    shutil.rmtree(made, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(made), str(ROOT)], check=True)
    kernel = Path(sys.prefix, "share/jupyter/labextensions", KERNEL, "static/pypi")
    return [*made.glob("*.whl"), *newest(kernel.glob("*.whl"))]


def size(folder: Path, packed: bool = False) -> float:
    """Return the megabytes of a folder; `packed`, as a server with gzip sends its files."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            total += len(gzip.compress(data, 6)) if packed and path.suffix in SMALL else len(data)
    return total / 1e6


if __name__ == "__main__":
    main()
