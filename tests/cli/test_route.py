"""`lbkit route` answers who gets a request, and why, without traffic."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lbkit.cli import app

FILE = """
[[backends]]
address = "127.0.0.1:9001"

[[backends]]
address = "127.0.0.1:9002"
pool = "api"

[[routing.rules]]
name = "office only"
when = {prefix = ["/admin"], client = ["10.0.0.0/8"]}

[[routing.rules]]
name = "no admin"
when.prefix = ["/admin"]
then = {kind = "fixed", status = 403}

[[routing.rules]]
name = "api"
when = {host = ["example.org"], method = ["POST"], header = {Content-Type = "application/json*"}}
then = {kind = "pool", pool = "api"}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "proxy.toml"
    path.write_text(FILE)
    return str(path)


def test_the_rule_and_the_reasons(file: str) -> None:
    result = CliRunner().invoke(app, ["route", file, "/x/..//%61dmin"])
    assert result.exit_code == 0
    assert result.output == (
        "path     '/admin'\n"
        "skipped  office only: client is 127.0.0.1, not in 10.0.0.0/8\n"
        "fits     no admin: path is below /admin\n"
        "outcome  a fixed answer, 403\n"
    )
    result = CliRunner().invoke(app, ["route", file, "/admin", "--client", "10.1.1.1"])
    assert "outcome  pool default" in result.output


def test_the_options_are_those_of_curl(file: str) -> None:
    options = ["-X", "POST", "-H", "content-type: application/json; charset=utf-8"]
    result = CliRunner().invoke(app, ["route", file, "http://example.org:80/a", *options])
    assert "outcome  pool api" in result.output
    assert "path     '/'" in CliRunner().invoke(app, ["route", file, "http://example.org?a=/b"]).output
    assert "pool default: no rule fits" in CliRunner().invoke(app, ["route", file, "/a", *options]).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "URL is 'x': use a path from / on, or http://host/path"),
        (["/", "-H", "x"], "--header is 'x': use a name, a colon and a value"),
    ],
)
def test_mistakes(file: str, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["route", file, *arguments])
    assert result.exit_code != 0
    assert message in result.output
