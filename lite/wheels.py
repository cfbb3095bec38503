"""The Python packages of the site: which ones, of which versions, and the list by which Pyodide finds them.

Only wheels of pure Python run there, so numpy is not among them. The versions are those of requirements.lock.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from email.parser import Parser
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

PYTHON = "3.14"  # in a browser
# What markers in a package's metadata are compared with: Python in a browser.
BROWSER = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_system": "Emscripten",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "emscripten",
}
# What `make lock` cannot pin, as it needs a newer Python than the oldest that lbkit runs on.
ONLY_THERE = {canonicalize_name("micropip"): "0.11.1"}
# What a browser has no use for: files of JupyterLab's page, tests, and plotly's own widget.
UNUSED = re.compile(
    r"[^/]+\.data/|.*/(labextension|nbextension|tests)/|plotly/package_data/widgetbundle\.js$"
)
ABSENT = (
    "jupyterlab-widgets",  # for JupyterLab's page, which has it from the build
    "typer",  # for commands in a terminal
    "jedi",  # IPython completes names without it
)


@dataclass(frozen=True)
class Wheel:
    """A wheel of pure Python."""

    path: Path

    @property
    def name(self) -> NormalizedName:
        return canonicalize_name(self.path.name.split("-")[0])

    @property
    def version(self) -> str:
        return self.path.name.split("-")[1]

    @cached_property
    def files(self) -> list[str]:
        with zipfile.ZipFile(self.path) as archive:
            return archive.namelist()

    @cached_property
    def needs(self) -> list[NormalizedName]:
        """The packages that it needs in a browser."""
        metadata = next(name for name in self.files if name.endswith(".dist-info/METADATA"))
        with zipfile.ZipFile(self.path) as archive:
            fields = Parser().parsestr(archive.read(metadata).decode())
        wanted = map(Requirement, fields.get_all("Requires-Dist", []))
        names = (canonicalize_name(w.name) for w in wanted if w.marker is None or w.marker.evaluate(BROWSER))
        return [name for name in dict.fromkeys(names) if name not in ABSENT]

    def trimmed(self, folder: Path) -> Wheel:
        """Return a copy in this folder, without what a browser has no use for."""
        copy = folder / self.path.name
        with (
            zipfile.ZipFile(self.path) as source,
            zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
        ):
            for item in source.infolist():
                if not UNUSED.match(item.filename):
                    target.writestr(item, source.read(item))
        return Wheel(copy)

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in pyodide-lock.json."""
        tops = {file.split("/")[0] for file in self.files if file.endswith((".py", ".pyc"))}
        return {
            "name": self.name,
            "version": self.version,
            "file_name": self.path.name,
            "install_dir": "site",
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "package_type": "package",
            "imports": sorted(top.removesuffix("c").removesuffix(".py") for top in tops),
            "depends": self.needs,
            "unvendored_tests": False,
        }


def empty(name: str, folder: Path) -> Wheel:
    """Write a wheel with nothing in it, for what is asked for by name and not needed."""
    path = folder / f"{name}-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
        archive.writestr(f"{name}-0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return Wheel(path)


def newest(paths: Iterable[Path]) -> list[Path]:
    """Return the wheel with the highest version of each package."""
    ordered = sorted(map(Wheel, paths), key=lambda wheel: Version(wheel.version))
    return [wheel.path for wheel in {wheel.name: wheel for wheel in ordered}.values()]


def collect(roots: Iterable[str], own: Collection[Path], pins: Path, cache: Path) -> list[Wheel]:
    """Return these packages and all that they need, in no order.

    `own` are wheels that are here; the others come from the package index. `pins` is requirements.lock."""
    versions = dict(pinned(pins)) | ONLY_THERE
    found = {wheel.name: wheel for wheel in map(Wheel, own)}
    while missing := sorted(still_needed(roots, found)):
        if unknown := [name for name in missing if name not in versions]:
            raise SystemExit(f"{pins.name} has no version of {', '.join(unknown)}, which the site needs")
        found |= download([f"{name}=={versions[name]}" for name in missing], cache)
    return list(found.values())


def still_needed(roots: Iterable[str], found: dict[NormalizedName, Wheel]) -> set[NormalizedName]:
    wanted = {canonicalize_name(root) for root in roots}
    return wanted.union(*(wheel.needs for wheel in found.values())) - found.keys()


def pinned(pins: Path) -> Iterator[tuple[NormalizedName, str]]:
    for line in pins.read_text().splitlines():
        name, equal, version = line.partition("==")
        if equal:
            yield canonicalize_name(name), version


def download(specs: list[str], cache: Path) -> dict[NormalizedName, Wheel]:
    """Fetch these wheels, unless they are in the cache."""
    if absent := [spec for spec in specs if spec not in cached(cache)]:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        pure = ("--only-binary=:all:", "--platform", "any", "--abi", "none", "--implementation", "py")
        python = ("--python-version", PYTHON)
        subprocess.run([*pip, *pure, *python, "--dest", str(cache), *absent], check=True)
    there = cached(cache)
    return {there[spec].name: there[spec] for spec in specs}


def cached(cache: Path) -> dict[str, Wheel]:
    """Return the wheels in a folder, by name==version."""
    return {f"{wheel.name}=={wheel.version}": wheel for wheel in map(Wheel, cache.glob("*.whl"))}
