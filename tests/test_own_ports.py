from __future__ import annotations

import socket
import tomllib

import pytest
from typer.testing import CliRunner

from lbkit.cli import app
from lbkit.live.program import free_ports
from lbkit.own_ports import USUAL, VARIABLE, own_ports, unreserved_ports, with_own_ports


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> range:
    monkeypatch.setenv(VARIABLE, "20000-20049")
    ports = own_ports()
    assert ports
    return ports


@pytest.mark.parametrize("text", ["8080", "20000-20010", "80-200", "70000-70100", "20049-20000", "a-b", "-"])
def test_a_range_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match=f"{VARIABLE} is '{text}': use 20 ports or more"):
        own_ports()


def test_without_a_range_the_kernel_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert own_ports() is None
    assert unreserved_ports() == []
    assert len(set(free_ports(3))) == 3
    assert with_own_ports('listen = "127.0.0.1:8080"') == 'listen = "127.0.0.1:8080"'


def test_ports_for_programs_are_of_the_range_and_not_the_usual_ones(own: range) -> None:
    rest = set(own[len(USUAL) :])
    assert set(unreserved_ports()) == rest
    found = free_ports(5)
    assert len(set(found)) == 5
    assert set(found) <= rest


def test_a_port_that_is_taken_is_not_offered(own: range, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("lbkit.live.program.unreserved_ports", lambda: [port])
        with pytest.raises(OSError, match=f"1 free ports are needed, and 0 of {VARIABLE} are free"):
            free_ports(1)


@pytest.mark.parametrize("command", [["proxy", "--example"], ["proxy", "--example", "--layer", "4"]])
def test_the_example_of_a_proxy_listens_on_ones_own_port(command: list[str], own: range) -> None:
    text = CliRunner().invoke(app, command).stdout
    assert tomllib.loads(text)["listen"] == f"127.0.0.1:{own[0]}"
    assert ":8080" not in next(line for line in text.splitlines() if "listen =" in line).partition("#")[0]
    assert f'"127.0.0.1:{own[1]}"' in text  # of the admin page


def test_the_example_of_a_dns_server_listens_on_ones_own_port(own: range) -> None:
    text = CliRunner().invoke(app, ["dns", "--example"]).stdout
    assert tomllib.loads(text)["listen"] == f"127.0.0.1:{own[2]}"


def test_a_range_that_is_none_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "all")
    result = CliRunner().invoke(app, ["proxy", "--example"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"lbkit: {VARIABLE} is 'all'")
