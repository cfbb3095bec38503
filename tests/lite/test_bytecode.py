"""Archives with bytecode, as the browser-only edition unpacks them. Here this Python compiles them."""

from __future__ import annotations

import importlib
import inspect
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from lite import bytecode
from lite.archives import compile_archive

MODULE = "def double(x):\n    return 2 * x\n"


def archive(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return path


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as opened:
        return set(opened.namelist())


def imported(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_others_modules_are_bytecode_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = archive(tmp_path / "other-1.0-py3-none-any.whl", {"other_kit.py": MODULE, "other.txt": "text"})
    compile_archive(wheel)
    assert names(wheel) == {"other_kit.pyc", "other.txt"}
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    assert imported("other_kit", tmp_path / "site", monkeypatch).double(2) == 4


def test_ours_keep_the_source_that_learners_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = archive(tmp_path / "lbkit_lab-1.0-py3-none-any.whl", {"our_kit.py": MODULE})
    compile_archive(wheel)
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    ours = imported("our_kit", tmp_path / "site", monkeypatch)
    assert inspect.getsource(ours.double) == MODULE


def test_bytecode_is_not_compared_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = archive(tmp_path / "lbkit_lab-1.0-py3-none-any.whl", {"same_kit.py": MODULE})
    compile_archive(wheel)
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "site/same_kit.py").write_text("another source")
    assert imported("same_kit", tmp_path / "site", monkeypatch).double(2) == 4


def test_the_standard_library_is_imported_from_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = archive(tmp_path / "stdlib.zip", {"a_package/__init__.py": MODULE})
    compile_archive(library)
    assert imported("a_package", library, monkeypatch).double(3) == 6


def test_what_is_not_python_stays_as_it_is(tmp_path: Path) -> None:
    wheel = archive(tmp_path / "other-1.0-py3-none-any.whl", {"template.py": "class {{ name }}: pass"})
    compile_archive(wheel)
    assert names(wheel) == {"template.py"}


def test_what_has_not_changed_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def run(script: Path, folder: Path, pyodide: Path) -> None:
        for path in folder.iterdir():
            compiled.append(path.name)
            compile_archive(path)

    monkeypatch.setattr(bytecode, "run_in_pyodide", run)
    for text in (MODULE, MODULE, "x = 1"):
        path = archive(tmp_path / "other-1.0-py3-none-any.whl", {"other_kit.py": text})
        bytecode.compile_archives([path], tmp_path, tmp_path / "cache")
        assert names(path) == {"other_kit.pyc"}
    assert len(compiled) == 2
    assert len(list((tmp_path / "cache/bytecode").iterdir())) == 1  # what no build needs any more is gone
