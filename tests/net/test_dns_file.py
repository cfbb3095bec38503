"""The file of `lbkit dns`, and the command."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import pytest
from needs import need_feature
from typer.testing import CliRunner

need_feature("dns")

import dns.edns
import dns.message
import dns.query

from lbkit.cli import app
from lbkit.locations import write_database
from lbkit.net.dns import ZoneError
from lbkit.net.dns_file import DnsFile

EXAMPLE = resources.files("lbkit.net").joinpath("example_dns.toml").read_text("utf-8")


def ask(port: int, name: str, subnet: str = "192.0.2.0") -> set[str]:
    option = dns.edns.ECSOption(subnet, 24)
    query = dns.message.make_query(name, "A", use_edns=0, options=[option])
    found = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
    return {str(address) for answer in found.answer for address in answer}


def load(tmp_path: Path, text: str) -> DnsFile:
    path = tmp_path / "zone.toml"
    path.write_text(text)
    return DnsFile.load(path)


def test_the_example(tmp_path: Path) -> None:
    text = EXAMPLE.replace("127.0.0.1:5353", "127.0.0.1:0")
    with ExitStack() as stack:
        server = stack.enter_context(load(tmp_path, text).server(stack))
        assert ask(server.port, "www.shop.test.") == {"203.0.113.10"}
        assert ask(server.port, "www.shop.test.", "198.51.100.0") == {"203.0.113.20"}
        assert ask(server.port, "api.shop.test.") <= {"203.0.113.10", "203.0.113.20"}
        assert ask(server.port, "ns.shop.test.") == {"127.0.0.1"}


def test_what_is_behind_a_mark_is_the_default(tmp_path: Path) -> None:
    def bare(line: str) -> str:
        return re.sub(r"^# (?=[\w\[])", "", line)

    lines = [bare(line) for line in EXAMPLE.splitlines() if not line.startswith("# A DNS")]
    kept = [line for line in lines if not line.startswith(("locations", "fence"))]
    full = load(tmp_path, "\n".join(kept))
    assert full.servers[0].region == "frankfurt"
    usual = load(tmp_path, EXAMPLE)
    assert (full.checks, full.strict_cookies, full.steered[0].ttl) == (
        usual.checks,
        usual.strict_cookies,
        usual.steered[0].ttl,
    )


def test_a_database_of_locations(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "US"}, "location": {"latitude": 40.7, "longitude": -74.0}}
    write_database(tmp_path / "places.mmdb", {"192.0.2.0/24": record})
    text = EXAMPLE.replace("127.0.0.1:5353", "127.0.0.1:0")
    text = re.sub(r"\[clients\..*?(?=\[\[records)", "", text, flags=re.S)
    with ExitStack() as stack:
        place = f'locations = "{tmp_path / "places.mmdb"}"\n'
        server = stack.enter_context(load(tmp_path, place + text).server(stack))
        assert ask(server.port, "www.shop.test.") == {"203.0.113.20"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("origin =", "orgin ="), "orgin"),
        (("127.0.0.1:5353", "here"), "listen is 'here': use host:port"),
        (
            ('addresses = ["203.0.113.10"]', 'addresses = "203.0.113.10"'),
            "frankfurt.addresses is '203.0.113.10'",
        ),
        (('addresses = ["203.0.113.10"]', "addresses = [5]"), "frankfurt.addresses has 5: use texts"),
        (('# rule = "nearest"', 'order = "frankfurt"'), r"steered\[0\].order is 'frankfurt': use a list"),
        (("at = [48.9, 2.4]", "at = [98.9, 2.4]"), "clients.192.0.2.0/24: latitude is 98.9"),
        (('addresses = ["203.0.113.10"]', ""), "www: regions has no address of frankfurt"),
        (('"203.0.113.10" = 3', '"x" = 3'), "'x' is no address"),
        (('# rule = "nearest"', 'rule = "closest"'), "unknown rule closest"),
        (
            ("# [[servers]]", '[[servers]]\naddress = "127.0.0.1:1"\nregion = "mars"\n'),
            r"servers\[0\]: unknown region mars",
        ),
    ],
)
def test_faults(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in EXAMPLE
    with ExitStack() as stack, pytest.raises((ZoneError, ValueError), match=said):
        load(tmp_path, EXAMPLE.replace(*change)).server(stack)


def test_the_command_says_what_is_wrong_in_a_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["dns", "--example"]).output == EXAMPLE
    assert "ZONE.toml is missing" in run(app, ["dns"]).output
    path = tmp_path / "zone.toml"
    path.write_text(EXAMPLE)
    assert "shop.test. has" in run(app, ["dns", str(path), "--check"]).output
    path.write_text("origin = 3")
    assert "origin is 3" in run(app, ["dns", str(path)]).output
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path.write_text(EXAMPLE.replace("5353", str(port)))
        told = run(app, ["dns", str(path)])
        assert told.exit_code == 1
        assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in told.output


def test_the_command_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "zone.toml"
    path.write_text(EXAMPLE.replace("127.0.0.1:5353", "127.0.0.1:0"))
    command = [sys.executable, "-u", "-m", "lbkit", "dns", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            port = int(re.search(r":(\d+);", line)[1])  # type: ignore[index]
            assert ask(port, "www.shop.test.") == {"203.0.113.10"}
            process.send_signal(2)
            assert process.wait(20) == 130
        finally:
            process.kill()
