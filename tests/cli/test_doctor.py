from __future__ import annotations

import json
import os
import resource
import socket
import sys
import urllib.request
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from needs import need_feature
from typer.testing import CliRunner

from lbkit import needs
from lbkit.cli import app, machine

need_feature("lab", "labs")


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


def examine() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(call("--json"))
    return report


@pytest.fixture
def without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_program", lambda names: None)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


# -- the report ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_programs")
def test_each_row_says_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crossplane", None)
    lines = call().splitlines()
    rows = {line[5:].split("  ")[0]: line for line in lines if line[:3] in ("ok ", "low", "yes", "no ")}
    assert list(rows) == [*machine.CHECKS, *needs.FEATURES]
    assert rows["sim"].split(maxsplit=2) == ["yes", "sim", "the simulator"]
    assert rows["nginx"].startswith("no   nginx ")
    assert rows["nginx"].endswith(f"the program nginx ({needs.PROGRAMS['nginx'].hint})")
    assert "-m pip install" in rows["import"]


@pytest.mark.usefixtures("without_programs")
def test_notebooks_and_labs_say_what_they_leave_out() -> None:
    report = examine()
    assert report["notebooks"]["03b-more-algorithms"] == []
    assert report["notebooks"]["05-health-checks"] == ["haproxy"]
    assert report["labs"]["01-turns"] == ["nginx"]
    assert "     05-health-checks  without haproxy\n" in call()


def test_without_jupyterlab_no_notebook_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    report, text = examine(), call()
    assert all("lab" in lacking for lacking in report["notebooks"].values())
    assert f"Notebooks: 0 of {len(report['notebooks'])} run in full" in text
    assert "and so not at all" in text


def test_the_report_names_no_person() -> None:
    report = examine()
    assert report.keys() == {"lbkit", "computer", "machine", "features", "notebooks", "labs"}
    assert report["machine"].keys() == machine.CHECKS.keys()


@pytest.mark.usefixtures("without_programs")
def test_the_reports_of_a_room_are_counted(tmp_path: Path) -> None:
    ann, ben = tmp_path / "ann.json", tmp_path / "ben.json"
    ann.write_text(call("--json"))
    report = examine()
    report["features"] |= dict.fromkeys(report["features"], "")
    report["machine"] |= {"memory": {"found": "1 GB", "mend": "buy some"}}
    ben.write_text(json.dumps(report))
    lines = call(ann, ben).splitlines()
    assert lines[0] == "Computers: 2"
    assert "  1  memory: buy some  (ben)" in lines
    assert any("the program nginx" in line and line.endswith("(ann)") for line in lines)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {"memory": 3}, "features": {}}'])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ann.json"
    path.write_text(text)
    assert call(path, code=2) == f"lbkit: {path}: no report; `lbkit doctor --json > ann.json` writes one\n"


# -- each check ------------------------------------------------------------------------------------


def test_windows_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform="win32"))
    assert "wsl --install" in machine.system().mend
    assert machine.open_files().mend == ""


@pytest.mark.parametrize(
    ("limits", "mend"),
    [((256, 10240), "ulimit -n 4096"), ((256, 512), "ask whoever"), ((1024, 1024), ""), ((-1, -1), "")],
)
def test_few_open_files(limits: tuple[int, int], mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: limits)
    assert machine.open_files().mend.startswith(mend)
    assert bool(machine.open_files().mend) is bool(mend)


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    for total, available, mend in [(2e9, 1.5e9, "this is little"), (8e9, 0.5e9, "close"), (8e9, 4e9, "")]:
        now = SimpleNamespace(total=total, available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda now=now: now)
        found = machine.memory()
        assert found.mend.startswith(mend)
        assert bool(found.mend) is bool(mend)


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=5e8))
    assert machine.disk() == ("0.5 GB free here", "make room: 1 GB")


def test_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert machine.processors().mend.startswith("live runs measure the machine")


def test_a_firewall_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise TimeoutError("timed out")

    assert machine.ports().mend == ""
    monkeypatch.setattr(socket, "create_connection", refuse)
    found, mend = machine.ports()
    assert found == "127.0.0.1: timed out"
    assert mend.startswith("let the firewall allow Python")


def test_a_proxy_that_would_get_what_is_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": "http://proxy.school.test:3128"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: False)
    assert machine.http_proxy() == ("one is set", "export no_proxy=localhost,127.0.0.1,::1")
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: host == "127.0.0.1")
    assert machine.http_proxy().mend == ""


def test_a_clock_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_sleep", lambda: 0.0011)
    assert machine.clock() == ("a millisecond's sleep takes 1.1 ms", "")
    monkeypatch.setattr(machine, "_sleep", lambda: 0.0156)  # of Windows
    assert machine.clock().mend.startswith("live runs will be late")
    monkeypatch.setattr(machine.time, "time", lambda: 86_400.0 * 2)
    assert machine.clock() == ("1970-01-03", "it is before the kit was installed: set the clock")


def test_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> NoReturn:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert machine.browser().mend.startswith("open the address that lbkit prints")
    monkeypatch.setattr(webbrowser, "get", lambda: SimpleNamespace(name="firefox"))
    assert machine.browser() == ("firefox", "")


def test_a_kernel_of_another_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher"],
        "display_name": "Python 3",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert machine.kernel() == ("python3 is this Python", "")
    gone = str(tmp_path / "old" / "bin" / "python")
    (folder / "kernel.json").write_text(json.dumps(spec | {"argv": [gone, "-m", "ipykernel_launcher"]}))
    assert machine.kernel() == (f"python3 is {gone}", f"{sys.executable} -m ipykernel install --sys-prefix")


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "why_pure", lambda: "not compiled")
    monkeypatch.setattr(machine.shutil, "which", lambda command: None)
    assert machine.compiler().mend.startswith("only for speed: ")
    monkeypatch.setattr(machine, "why_pure", lambda: "")
    assert machine.compiler() == ("the kit runs compiled", "")
