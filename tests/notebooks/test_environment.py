"""Every notebook runs to its end with what `make lab` installs, and where less is there."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from needs import need_feature, need_module

need_feature("lab")
need_module("nbclient")

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from notebooks.book import INDEX, NOTEBOOKS, SOLUTIONS, cells
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lbkit.needs import PROGRAMS

ROOT = Path(__file__).parents[2]
LARGEST = 1_000_000  # bytes of a notebook that was run and saved


@dataclass(frozen=True)
class Machine:
    """What a machine has: the packages of these extras, and all programs or none."""

    extras: tuple[str, ...]
    programs: bool


MACHINES = {
    "make lab": Machine(("all",), programs=True),
    "no programs": Machine(("all",), programs=False),
    "only figures": Machine(("lab",), programs=False),
}


@cache
def installed_by(extras: tuple[str, ...]) -> frozenset[str]:
    """Return the distributions that `pip install .[extras]` installs, from what is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    found: set[tuple[str, str]] = set()  # a distribution and an extra of it, or ""
    todo = [Requirement(text) for text in project["dependencies"]]
    todo += [Requirement(text) for extra in extras for text in optional[extra]]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name == canonicalize_name(project["name"]):
            todo += [Requirement(text) for extra in wanted.extras for text in optional[extra]]
            continue
        for extra in ("", *wanted.extras):
            if (name, extra) in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            found.add((name, extra))
            try:
                inner = [Requirement(text) for text in requires(name) or ()]
            except PackageNotFoundError:  # for another system or Python
                continue
            for each in inner:
                if each.marker is None or each.marker.evaluate({"extra": extra}):
                    each.marker = None  # it holds here
                    todo.append(each)
    return frozenset(name for name, _ in found)


def hidden_packages(extras: tuple[str, ...]) -> list[str]:
    """Return the importable packages here that those extras do not install."""
    there = installed_by(extras) | {"pip", "setuptools", "wheel", "lbkit", "lbkit-lab"}
    return sorted(
        package
        for package, distributions in packages_distributions().items()
        if package.isidentifier() and not there & {canonicalize_name(name) for name in distributions}
    )


def environment(machine: Machine) -> dict[str, str]:
    programs = [name for program in PROGRAMS.values() for name in program.names] + ["docker"]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "bare"), str(ROOT)]),
        # jsonschema does without this one, which takes more than a second to import.
        "BARE_PACKAGES": " ".join([*hidden_packages(machine.extras), "rfc3987_syntax"]),
        "BARE_PROGRAMS": "" if machine.programs else " ".join(programs),
        "DOCKER_HOST": os.environ.get("DOCKER_HOST", "") if machine.programs else "tcp://127.0.0.1:1",
    }


def test_make_lab_installs_what_is_light_and_no_more() -> None:
    there = installed_by(("all",))
    assert {"redis", "crossplane", "distributed", "docker", "locust", "jupyterlab", "plotly"} <= there
    assert not {"pandas", "pyarrow", "playwright", "hypothesis", "ruff", "simpy"} & there
    assert {"pandas", "hypothesis", "aiohttp"} <= set(hidden_packages(("all",)))
    assert {"redis", "crossplane", "locust"} <= set(hidden_packages(("lab",)))
    assert "$(call install,.[all$(comma)compile])" in (ROOT / "Makefile").read_text()


def test_what_is_hidden_is_missing() -> None:
    code = (
        "from lbkit import why_not\n"
        "for name in ('live', 'nginx', 'redis', 'docker', 'import'): print(why_not(name) or 'yes')"
    )
    said = {}
    for name, machine in MACHINES.items():
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(machine),
            capture_output=True,
            text=True,
            check=True,
        )
        said[name] = done.stdout.splitlines()
    assert said["no programs"][0] == said["no programs"][4] == "yes"
    assert said["no programs"][1].startswith("nginx needs the program nginx (")
    assert said["no programs"][2].startswith("redis needs the program redis-server (")
    assert said["no programs"][3].startswith("docker needs a running Docker engine")
    assert said["only figures"][2].startswith("redis needs the Python packages locust, ")
    assert all("-m pip install" in line for line in said["only figures"])


def test_a_live_result_names_the_version_in_a_new_environment() -> None:
    code = (
        "from lbkit import Experiment, __version__, servers\n"
        "from lbkit.live.front import OwnProxy\n"
        "program = OwnProxy(Experiment(servers(1))).facts()['program']\n"
        "assert program == f'lbkit {__version__}', program"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(MACHINES["make lab"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def code_of(notebook: Path) -> str:
    """Return what its code cells hold."""
    return "\n".join(cell.source for cell in cells(notebook) if cell.kind == "code")


def machines_for(notebook: Path) -> list[str]:
    """Return the machines on which the notebook can differ: without programs only if it names any."""
    code = code_of(notebook).lower()
    named = [name for name in (*PROGRAMS, "docker") if name in code]
    return [machine for machine in MACHINES if named or machine != "no programs"]


@pytest.mark.notebook
@pytest.mark.live
@pytest.mark.parametrize(
    ("notebook", "machine"),
    [
        *((path, machine) for path in (INDEX, *NOTEBOOKS) for machine in machines_for(path)),
        *((path, "make lab") for path in SOLUTIONS),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_a_notebook_runs_to_its_end(notebook: Path, machine: str, tmp_path: Path) -> None:
    book = nbformat.read(notebook, 4)
    there = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=120, kernel_name="python3", resources=there).execute(
        env=environment(MACHINES[machine])
    )
    assert saved_size(book) < LARGEST
    assert "Traceback" not in printed(book)  # of a task, which ends no cell
    asks = code_of(notebook).replace('why_not("labs")', "")  # which need nothing more
    if "why_not(" in asks and machine == "only figures":
        assert "needs the Python package" in printed(book)


def saved_size(book: NotebookNode) -> int:
    """Return the bytes of a notebook as JupyterLab saves it: without the state of widgets."""
    book.metadata.pop("widgets", None)
    return len(nbformat.writes(book).encode())


def printed(book: NotebookNode) -> str:
    """Return what the cells of a notebook have printed."""
    return "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", ()))
