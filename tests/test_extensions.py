"""Compiled modules are served if all of them fit the sources; and what the builder refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from needs import need_module

from lbkit import algorithms, compiled, extensions

need_module("mypyc")
from native import __main__ as builder
from native import build, table

POOL = "lbkit.core.pool"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for compiled modules that has none yet, where `install` looks."""
    monkeypatch.setattr(extensions, "FOLDER", tmp_path)
    monkeypatch.setattr(extensions, "_why_pure", "")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setenv("LBKIT_PURE", "0")
    monkeypatch.setenv(extensions.SAID, "")
    return tmp_path


def write_manifest(folder: Path, digest: str) -> None:
    (folder / extensions.MANIFEST).write_text(json.dumps({POOL: digest}))


def test_ci_runs_the_compiled_modules() -> None:
    may_be_pure = not os.environ.get("LBKIT_REQUIRE_ALL") or bool(os.environ.get("LBKIT_PURE"))
    assert compiled() or may_be_pure, extensions.why_pure()


def test_compiled_classes_keep_their_docstrings() -> None:
    ours = [cls for cls in algorithms().values() if cls.__module__.startswith("lbkit.")]
    assert [cls for cls in ours if not cls.__doc__] == []


def test_pure_is_a_wish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PURE", "1")
    extensions.install()
    assert (compiled(), extensions.why_pure()) == (False, "LBKIT_PURE is set")


def test_without_compiled_modules_nothing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extensions.install()
    assert not compiled()
    assert capsys.readouterr().err == ""


def test_an_edited_source_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(folder, "0" * 64)
    extensions.install()
    assert not compiled()
    assert capsys.readouterr().err == f"lbkit: {extensions.STALE}\n"
    extensions.install()  # as in a process started from here
    assert capsys.readouterr().err == ""
    assert os.environ["LBKIT_PURE"] == "0"  # it would run compiled if they have been compiled meanwhile


def test_what_cannot_be_loaded_is_not_used(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, extensions.GROUP, raising=False)
    write_manifest(folder, extensions.digest(extensions.source_of(POOL)))
    finders = list(sys.meta_path)
    extensions.install()
    assert not compiled()
    assert sys.meta_path == finders
    said = capsys.readouterr().err
    assert said.startswith("lbkit: the compiled modules cannot be loaded (")
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"null", b'{"lbkit.core.pool": 3}', b"\xff\xfe"])
def test_a_broken_manifest_is_a_line(folder: Path, capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    (folder / extensions.MANIFEST).write_bytes(text)
    extensions.install()
    assert not compiled()
    said = capsys.readouterr().err
    assert said.startswith("lbkit: the compiled modules cannot be loaded (")
    assert said.count("\n") == 1
    assert not table.up_to_date(folder)  # so that the builder mends it


def test_a_manifest_that_cannot_be_read_is_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / extensions.MANIFEST).mkdir()
    extensions.install()
    assert not compiled()
    assert capsys.readouterr().err.startswith("lbkit: the compiled modules cannot be loaded (")


def test_of_a_folder_with_half_of_the_modules_none_is_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(folder, extensions.digest(extensions.source_of(POOL)))
    Path(extensions.place_of(extensions.GROUP, folder)).touch()
    finders = list(sys.meta_path)
    extensions.install()
    assert not compiled()
    assert sys.meta_path == finders
    assert f"({POOL} is missing)" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"", b"[[1", b"{}", b"\xff"])
def test_a_broken_note_of_times_is_written_anew(tmp_path: Path, text: bytes) -> None:
    Path(extensions.source_of("lbkit.one", tmp_path)).write_text("x = 1\n")
    hashes = {"lbkit.one": extensions.digest(extensions.source_of("lbkit.one", tmp_path))}
    (tmp_path / extensions.SEEN).write_bytes(text)
    assert extensions.fits(tmp_path, hashes, tmp_path)
    assert json.loads((tmp_path / extensions.SEEN).read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.py", extensions.SEEN]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such lock")
def test_two_builds_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "ROOT", tmp_path)
    order: list[str] = []

    def second() -> None:
        with builder.alone():
            order.append("second")

    other = threading.Thread(target=second)
    with builder.alone():
        other.start()
        other.join(0.05)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_source_counts_by_its_content(tmp_path: Path) -> None:
    source = Path(extensions.source_of("lbkit.one", tmp_path))
    source.write_text("x = 1\n")
    hashes = {"lbkit.one": extensions.digest(str(source))}
    assert extensions.fits(tmp_path, hashes, tmp_path)
    os.utime(source, (1, 1))  # as after a checkout
    assert extensions.fits(tmp_path, hashes, tmp_path)
    source.write_text("x = 2\n")
    assert not extensions.fits(tmp_path, hashes, tmp_path)
    source.unlink()
    assert not extensions.fits(tmp_path, hashes, tmp_path)


def test_files_that_fitted_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(extensions.source_of("lbkit.one", tmp_path)).write_text("x = 1\n")
    hashes = {"lbkit.one": extensions.digest(extensions.source_of("lbkit.one", tmp_path))}
    assert extensions.fits(tmp_path, hashes, tmp_path)
    monkeypatch.delattr(extensions, "digest")
    assert extensions.fits(tmp_path, hashes, tmp_path)


def test_processes_started_from_here_run_the_same() -> None:
    code = "import lbkit; print(lbkit.compiled(), lbkit.core.pool.Pool.pick is not None)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.split()[0] == str(compiled())


def test_the_table_names_modules() -> None:
    names = table.modules()
    assert {"lbkit.sim.engine", "lbkit.core.balance.base", POOL} <= set(names)
    assert not [name for name in names if name.endswith("__init__")]


def test_without_a_compiler_one_line_says_so_and_all_goes_on(tmp_path: Path) -> None:
    """In a copy of what the builder reads, as nothing is compiled there."""
    for part in ("native", "lbkit"):
        shutil.copytree(table.ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("_compiled"))
    environment = {**os.environ, "CC": "no-such-compiler", "LBKIT_PURE": ""}
    command = [sys.executable, "-m", "native", "--if-possible"]
    child = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert child.stdout.startswith(
        "lbkit: runs as readable Python, which is slower: no C compiler no-such-comp"
    )
    assert child.stdout.count("\n") == 1


def test_make_lab_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    """A compiler that ends only after JupyterLab has opened, in an environment that is installed."""
    if shutil.which("make") is None:
        pytest.skip("no make")
    programs = {
        "lbkit": 'touch "$(dirname "$0")/opened"',
        "python": """here="$(dirname "$0")"
            for i in $(seq 300); do
              [ -e "$here/opened" ] && echo "compiled: $*" && exit
              sleep 0.1
            done""",
    }
    (tmp_path / "bin").mkdir()
    for name, code in programs.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(0o755)
    (tmp_path / "lab.stamp").touch()
    command = ["make", "--no-print-directory", f"VENV={tmp_path}", "lab"]
    child = subprocess.run(command, cwd=table.ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert child.stdout == "compiled: -m native --if-possible\n"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("first = tuple(b for b in x)", False),
        ("first, second = (b for b in x)", False),
        ("rest = (b for b in x)", True),
        ("rest = (b for b in x) if x else ()", True),
        ("def f(): return (b for b in x)", True),
        ("def f(): yield from (b for b in x)", True),
    ],
)
def test_a_generator_that_would_become_a_list_is_refused(tmp_path: Path, line: str, wrong: bool) -> None:
    file = tmp_path / "module.py"
    file.write_text(f"x = []\n{line}\n")
    said = f"{file}:2: warning: Treating generator comprehension as list\n"
    assert bool(list(build.kept_generators(said))) is wrong


def test_an_attribute_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    said = f"{file}:7: warning: Unsupported default attribute value\n" * 2  # of the class and of its subclass
    assert list(build.lost_defaults(said)) == [
        f"{file}:7: no attribute of the class: declare a ClassVar, or assign it in a constructor"
    ]
    assert not list(build.lost_defaults(f"{file}:7: warning: another\n"))
