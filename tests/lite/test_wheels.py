"""The packages of the browser-only edition."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lite.wheels import ONLY_THERE, Wheel, collect, newest, pinned

ROOT = Path(__file__).parents[2]


def wheel(folder: Path, name: str, *needs: str, files: tuple[str, ...] = ()) -> Path:
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", "")
        archive.writestr(f"{module}-1.0.dist-info/METADATA", "".join(f"Requires-Dist: {n}\n" for n in needs))
        for file in files:
            archive.writestr(file, "x" * 100)
    return path


def test_only_what_a_browser_needs_is_needed(tmp_path: Path) -> None:
    markers = (
        'uvloop>=1; sys_platform != "emscripten"',
        'docs; extra == "docs"',
        "typer>=1",
        "Some.Thing[x]>2",
    )
    assert Wheel(wheel(tmp_path, "one", *markers)).needs == ["some-thing"]


def test_an_entry_names_what_can_be_imported_and_what_comes_with_it(tmp_path: Path) -> None:
    entry = Wheel(wheel(tmp_path, "my-kit", "other", files=("single.py", "my_kit-1.0.data/page.js"))).entry
    assert (entry["name"], entry["version"], entry["depends"]) == ("my-kit", "1.0", ["other"])
    assert entry["imports"] == ["my_kit", "single"]
    assert len(entry["sha256"]) == 64


def test_a_trimmed_wheel_has_no_tests_and_no_pages(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    unused = ("kit-1.0.data/share/page.js", "kit/labextension/page.js", "kit/inner/tests/test_it.py")
    trimmed = Wheel(wheel(tmp_path, "kit", files=unused)).trimmed(tmp_path / "site")
    assert trimmed.files == ["kit/__init__.py", "kit-1.0.dist-info/METADATA"]


def test_what_is_needed_and_not_pinned_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("plotly==7.1.0\n")
    own = [wheel(tmp_path, "kit", "other")]
    with pytest.raises(SystemExit, match=r"requirements\.lock has no version of other, which the site needs"):
        collect(["kit"], own, tmp_path / "requirements.lock", tmp_path)


def test_what_is_here_needs_no_index(tmp_path: Path) -> None:
    own = [wheel(tmp_path, "kit", "other"), wheel(tmp_path, "other")]
    found = collect(["kit"], own, ROOT / "requirements.lock", tmp_path)
    assert sorted(each.name for each in found) == ["kit", "other"]


def test_what_the_kernel_loads_at_its_start_is_in_the_site() -> None:
    config = json.loads((ROOT / "lite/config/jupyter-lite.json").read_text())["jupyter-config-data"]
    kernel = config["litePluginSettings"]["@jupyterlite/pyodide-kernel-extension:kernel"]
    bundled = {"lbkit-lab", "ipykernel", "piplite", "pyodide-kernel", *ONLY_THERE}
    assert kernel["disablePyPIFallback"] is True
    assert (
        set(kernel["loadPyodideOptions"]["packages"]) - bundled
        <= dict(pinned(ROOT / "requirements.lock")).keys()
    )


def test_make_lock_pins_what_any_environment_installs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    locked = re.search(r"\.venv-lock.* -e '\.\[(.*)\]'", (ROOT / "Makefile").read_text())
    assert locked
    reached, to_do = set[str](), set(locked[1].split(","))
    while to_do:
        extra = to_do.pop()
        reached.add(extra)
        for needed in map(Requirement, extras[extra]):
            to_do |= (needed.extras if needed.name == "lbkit-lab" else set()) - reached
    assert reached == extras.keys()


def test_no_file_of_the_edition_names_another_machine() -> None:
    for path in (ROOT / "lite").rglob("*.*"):
        if path.suffix in (".py", ".json"):
            assert not re.search(r"https?://", path.read_text()), path


def test_the_newest_wheel_is_that_of_the_highest_version() -> None:
    paths = [Path(f"lbkit_lab-{number}-py3-none-any.whl") for number in ("0.9", "0.10", "0.2")]
    assert newest([*paths, Path("other-1-py3-none-any.whl")]) == [paths[1], Path("other-1-py3-none-any.whl")]
