"""`lbkit import --routing`: a configuration's rules as the file of a proxy, which `lbkit route` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import need_module
from typer.testing import CliRunner

from lbkit.cli import app

need_module("crossplane")

NGINX = """
upstream app { server 127.0.0.1:9001; }
upstream api { server 127.0.0.1:9002; }
server {
  location / { proxy_pass http://app; }
  location /api { proxy_pass http://api; }
  location /files { root /var/www; }
}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(NGINX)
    return path


def run(*arguments: object) -> object:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_rules_of_a_configuration_can_be_asked(config: Path, tmp_path: Path) -> None:
    written = tmp_path / "proxy.toml"
    result = run("import", config, "--routing", "-o", written)
    assert result.exit_code == 0, result.output
    assert "3 rules; 2 pools: app, api" in result.output
    assert "nginx.conf, line 7: root /var/www (no counterpart)" in result.output
    assert "outcome  pool api" in run("route", written, "/api/x").output
    assert "outcome  pool default" in run("route", written, "/x").output
    assert "outcome  a fixed answer, 501" in run("route", written, "/files/x").output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--workers", "2"], "leave out --log and --workers"),
        (["-o", "x.json"], "the file of a proxy is TOML"),
    ],
)
def test_what_does_not_go_with_rules(config: Path, more: list[str], message: str) -> None:
    result = run("import", config, "--routing", *more)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
