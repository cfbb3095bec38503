"""Machines that somebody else provides: a dev container (Codespaces) and Binder, as far as shows here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from needs import need_module, skip_platform
from pages import ROOT

from lbkit.course.material_needs import features_used
from lbkit.needs import FEATURES, PROGRAMS

CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
BINDER = ROOT / ".binder"
FIELDS = {  # of the dev container specification (containers.dev), those that we use
    "name": str,
    "image": str,
    "hostRequirements": dict,
    "postCreateCommand": str,
    "forwardPorts": list,
    "portsAttributes": dict,
    "customizations": dict,
}
# In a container there is no right to make interfaces, which sites with one address need.
NOT_IN_CONTAINERS = {"bird"}


@pytest.fixture(scope="module")
def container() -> dict[str, object]:
    read: dict[str, object] = json.loads(CONTAINER.read_text(encoding="utf-8"))
    return read


def packages() -> set[str]:
    """Return Debian's packages of the programs that notebooks use."""
    notebooks = (ROOT / "notebooks").glob("*.ipynb")
    programs = {
        name for path in notebooks for used in features_used(path) for name in FEATURES[used].programs
    }
    return {PROGRAMS[name].apt for name in programs - NOT_IN_CONTAINERS}


def test_the_container_has_known_fields_of_the_right_types(container: dict[str, object]) -> None:
    assert container.keys() == FIELDS.keys()
    assert all(isinstance(container[name], kind) for name, kind in FIELDS.items())


def test_the_images_python_is_supported(container: dict[str, object]) -> None:
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].lstrip(">=")
    binder = (BINDER / "runtime.txt").read_text().strip()
    image = str(container["image"])
    for found in (re.fullmatch(r"python:3\.(\d+)-\w+", image), re.fullmatch(r"python-3\.(\d+)", binder)):
        assert found
        assert int(found[1]) >= int(oldest.split(".")[1])


def test_the_programs_of_the_notebooks_are_installed(container: dict[str, object]) -> None:
    installed = re.search(r"--no-install-recommends ([\w -]+) &&", str(container["postCreateCommand"]))
    assert installed
    assert set(installed[1].split()) == packages()
    assert set((BINDER / "apt.txt").read_text().split()) == packages()


def test_the_command_that_prepares_the_container_is_a_target(container: dict[str, object]) -> None:
    if not (make := shutil.which("make")):
        pytest.skip("make is not installed: apt-get install make")
    command = str(container["postCreateCommand"]).split("&& ")[-1].split()
    assert command[0] == "make"
    done = subprocess.run([make, "-n", *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_jupyters_port_is_forwarded(container: dict[str, object]) -> None:
    need_module("jupyterlab")
    from jupyter_server.serverapp import DEFAULT_JUPYTER_SERVER_PORT

    assert container["forwardPorts"] == [DEFAULT_JUPYTER_SERVER_PORT]


def test_the_requirements_of_binder_lead_to_files() -> None:
    """pip looks for the file of -c beside the one that names it, and for -e in the current folder."""
    constraint, package = (BINDER / "requirements.txt").read_text().splitlines()
    assert (BINDER / constraint.removeprefix("-c ")).samefile(ROOT / "requirements.lock")
    found = re.fullmatch(r"-e \.\[(\w+)\]", package)
    assert found
    assert (
        found[1] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )


def test_binders_start_runs_the_command_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git = ["git", "-c", "safe.directory=*", "clone", "-q", str(ROOT), str(clone)]
    if shutil.which("git") is None or subprocess.run(git, capture_output=True, check=False).returncode:
        skip_platform("not a git clone")
    start = clone / ".binder" / "start"
    assert os.access(start, os.X_OK)
    code = "import os, sys; print(os.environ['JUPYTER_CONFIG_PATH'], sys.argv[1])"
    command = [str(start), sys.executable, "-c", code, "an argument"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    folder, _, argument = done.stdout.strip().partition(" ")
    assert (Path(folder) / "labconfig" / "default_setting_overrides.json").is_file()
    assert argument == "an argument"


def test_nothing_is_fetched_from_an_address_of_its_own() -> None:
    for path in (CONTAINER, *BINDER.iterdir()):
        assert not [urlsplit(word).netloc for word in path.read_text().split() if "://" in word], path
