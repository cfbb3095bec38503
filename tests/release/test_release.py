"""The release as others get it: `make release` builds it, and tries it in new environments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request
from pathlib import Path
from zipfile import ZipFile

import pytest
from needs import need_module, skip_platform
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from release.environments import DIST, ROOT, Environment, built, clean

import lbkit
from lbkit import needs
from lbkit.extensions import FOLDER
from native.table import up_to_date

pytestmark = pytest.mark.release

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What each environment of the tests is: `dev` is the one that runs them.
EXTRAS = [extra for extra in PROJECT["optional-dependencies"] if extra != "dev"]
PURE, COMPILED, SOURCES = "*-py3-none-any.whl", "*-cp*.whl", "*.tar.gz"


@pytest.fixture(autouse=True, scope="module")
def the_release_is_built() -> None:
    if not DIST.is_dir():
        pytest.skip("make release builds what these tests try")


def tracked() -> set[str]:
    """Return the files of the clone that git does not ignore."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


# -- what is in it ---------------------------------------------------------------------------


def test_the_source_archive_has_every_file_of_the_clone() -> None:
    """So its tests have what they need. It was the source of the wheel, too."""
    with tarfile.open(built(SOURCES)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked() - names == set()
    assert names - tracked() == {"PKG-INFO"}


def test_the_wheel_has_the_package_the_course_and_the_licence() -> None:
    names = set(ZipFile(built(PURE)).namelist())
    course = {
        f"lbkit/material/{name}" for name in tracked() if name.startswith(("notebooks/", "labs/0", "labs/1"))
    }
    package = {name for name in tracked() if name.startswith("lbkit/")}
    info = f"lbkit_lab-{lbkit.__version__}.dist-info"
    assert package | course == {name for name in names if not name.startswith(info)}
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names


def test_the_metadata_is_valid_and_complete() -> None:
    (name,) = (name for name in ZipFile(built(PURE)).namelist() if name.endswith("/METADATA"))
    raw = ZipFile(built(PURE)).read(name)
    metadata = Metadata.from_email(raw)  # raises for each field that an index would refuse
    assert str(metadata.version) == lbkit.__version__
    assert metadata.license_expression == "MIT"
    assert metadata.license_files == ["LICENSE"]
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(metadata.provides_extra or ()) == set(PROJECT["optional-dependencies"])


def test_the_tests_of_the_source_archive_run_in_it(tmp_path: Path) -> None:
    with tarfile.open(built(SOURCES)) as archive:
        archive.extractall(tmp_path, filter="data")
    (sources,) = tmp_path.iterdir()
    some = [
        "tests/core/test_contract.py",
        "tests/notebooks/test_form.py",
        "tests/course/test_lab.py",
        "tests/test_presets.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *some],
        cwd=sources,
        env=clean(tmp_path) | {"PYTHONPATH": str(sources)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_cibuildwheel_understands_its_configuration() -> None:
    need_module("cibuildwheel")
    listed = subprocess.run(
        [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", "linux"],
        cwd=ROOT,
        env=os.environ | {"CIBW_ARCHS": "x86_64"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == [f"cp3{minor}-manylinux_x86_64" for minor in (11, 12, 13)]


# -- in new environments ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without extras."""
    environment = Environment.new(tmp_path_factory.mktemp("plain") / "venv")
    environment.install(built(PURE))
    return environment


def test_the_plain_wheel_simulates(plain: Environment) -> None:
    assert plain.run("-m", "lbkit", "--version").strip().endswith(lbkit.__version__)
    table = plain.run("-m", "lbkit", "compare", "--load", "0.9", "-p", "round_robin", "-p", "random")
    assert "round_robin" in table
    assert plain.run("-c", "import lbkit; print(lbkit.__file__)").startswith(str(plain.folder))


# Imports every public module at the top of the distributions that it is given, and prints their names.
IMPORTS = """
import sys
from importlib import import_module, metadata

for distribution in sys.argv[1:]:
    sources = (file for file in metadata.files(distribution) if file.suffix == ".py")
    tops = {file.parts[0].removesuffix(".py") for file in sources}
    for top in sorted(tops):
        if top.isidentifier() and not top.startswith("_"):
            print(import_module(top).__name__)
"""


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_installs_and_imports(extra: str, tmp_path: Path) -> None:
    environment = Environment.new(tmp_path / "venv")
    environment.install(built(PURE), extra)
    requirements = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    names = [
        r.name for r in requirements if r.name != PROJECT["name"] and (not r.marker or r.marker.evaluate())
    ]
    printed = environment.run("-W", "ignore", "-c", IMPORTS, *names).split()
    assert len(printed) >= len(names)
    for feature in made_ready_by(extra):
        said = environment.run("-c", f"import lbkit; print(lbkit.why_not({feature!r}))")
        assert said == "\n"


def made_ready_by(extra: str) -> list[str]:
    """Return the features of lbkit that need this extra and no more."""
    return [
        name
        for name, feature in needs.FEATURES.items()
        if {needs.PACKAGES[package] for package in feature.packages} == {extra}
        and not feature.programs
        and not feature.check
    ]


def wait_for(pattern: str, log: Path, seconds: float = 120) -> str:
    """Return what a program writes into its log; fail with all of it if that does not come."""
    end = time.monotonic() + seconds
    while not (found := re.search(pattern, log.read_text())):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    return found[1]


def test_a_wheel_has_the_notebooks_and_the_labs_for_a_learner(tmp_path: Path) -> None:
    """`pip install lbkit-lab[lab]`, then `lbkit lab` in an empty folder."""
    environment = Environment.new(tmp_path / "venv")
    environment.install(built(PURE), "lab")
    here = tmp_path / "course"
    here.mkdir()
    log = tmp_path / "lab.log"
    command = [str(environment.folder / "bin" / "lbkit"), "lab", "--no-browser"]
    with log.open("w") as out:
        lab = subprocess.Popen(command, cwd=here, env=clean(tmp_path), stdout=out, stderr=out)
    try:
        address = wait_for(r"JupyterLab is at (\S+)", log)
        server, _, query = address.partition("/lab/tree/")
        page, _, token = query.partition("?token=")
        with urllib.request.urlopen(f"{server}/api/contents/{page}?token={token}", timeout=30) as answer:
            assert json.load(answer)["type"] == "notebook"
    finally:
        lab.terminate()
        lab.wait(30)
    for name in (
        "00-playground.ipynb",
        "glossary.md",
        "solutions/03-solutions.ipynb",
        "labs/01-turns/turns.ipynb",
    ):
        assert (here / "workbook" / name).is_file()
    assert not list(here.rglob("checks.py"))
    check = [environment.python, "-m", "lbkit", "check", "1"]
    done = subprocess.run(
        check, cwd=here / "workbook", env=clean(tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.returncode, "points" in done.stdout) == (1, True), done.stderr


def test_the_compiled_wheel_runs_compiled(tmp_path: Path) -> None:
    if not up_to_date(FOLDER):
        skip_platform("the modules are not compiled here; `make compiled` does it")
    subprocess.run(
        [sys.executable, "-m", "build", "-n", "-w", "-o", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"LBKIT_COMPILE": "1"},
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob(COMPILED)
    environment = Environment.new(tmp_path / "venv")
    environment.install(wheel)
    assert environment.run("-c", "import lbkit; print(lbkit.compiled())") == "True\n"
    assert "least_connections" in environment.run("-m", "lbkit", "compare", "-p", "least_connections")
