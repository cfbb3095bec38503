"""`lbkit monitor` says in one line what is wrong; what it does is in tests/live/test_monitor.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from needs import need_feature
from typer.testing import CliRunner

from lbkit.cli import app

NO_ADMIN = '[[backends]]\naddress = "127.0.0.1:9"\n'


def refused(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["monitor", *map(str, arguments)])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    return line


def test_a_file_has_to_say_where_the_proxy_is(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(NO_ADMIN)
    assert "has no admin.listen: add [admin]" in refused(file)
    file.write_text('admin = { socket = "/tmp/x.sock" }\n' + NO_ADMIN)
    assert "has no admin.listen: add [admin]" in refused(file)
    file.write_text('admin = { listen = "127.0.0.1:0" }\n' + NO_ADMIN)
    assert "the port of admin.listen is any free one" in refused(file)
    assert "give the proxy's file, or its address" in refused()
    assert "give the proxy's file, or its address" in refused(file, "--admin", "127.0.0.1:1")
    assert "cannot read" in refused(tmp_path / "none.toml")
    assert "admin is 'here': use host:port" in refused("--admin", "here")


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.find_program", lambda names: None)
    line = refused("--admin", "127.0.0.1:1")
    assert "the program prometheus (apt-get install prometheus" in line
    assert "the program alertmanager (apt-get install prometheus-alertmanager" in line


def test_a_dead_proxy_is_no_traceback() -> None:
    need_feature("monitor")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = refused("--admin", f"127.0.0.1:{port}")
    assert f"no proxy answers on http://127.0.0.1:{port}/metrics" in line


def test_the_rules_are_printed() -> None:
    done = CliRunner().invoke(app, ["monitor", "--rules", "--latency", "0.2"])
    assert done.exit_code == 0
    assert "alert: HighLatency" in done.output
    assert "> 0.2" in done.output
