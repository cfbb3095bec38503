"""The DNS server on sockets: asked by dig, and by a real resolver in front of it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from needs import need, need_feature

need_feature("dns")

import dns.message
import dns.query
import dns.rcode

from lbkit.core.geo import Atlas, Location, Place, Region, Steering
from lbkit.net.dns import DnsServer, Record, Steered, Zone
from lbkit.net.dns import server as dns_server
from lbkit.net.running import ProxyError

PARIS, BOSTON = Location(Place(48.86, 2.35), "EU"), Location(Place(42.36, -71.06), "US")
ATLAS = Atlas({"198.51.100.0/24": PARIS, "203.0.113.0/24": BOSTON, "127.0.0.0/8": PARIS})
REGIONS = [Region("frankfurt", Place(50.11, 8.68), "EU"), Region("virginia", Place(38.95, -77.45), "US")]
ADDRESSES = {"frankfurt": ["192.0.2.10"], "virginia": ["192.0.2.20"]}
LONG = Record("many", "TXT", [f'"{i:0200d}"' for i in range(20)])


def zone(ttl: int = 60) -> Zone:
    return Zone("shop.test", [LONG], [Steered("www", Steering(REGIONS), ADDRESSES, ATLAS, ttl=ttl)])


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer(zone()) as running:
        yield running


def dig(port: int, *words: str) -> str:
    command = [need("dig"), "@127.0.0.1", "-p", str(port), "+tries=1", "+time=5", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def test_dig_gets_the_address_of_the_nearest_region(server: DnsServer) -> None:
    assert dig(server.port, "www.shop.test", "+short").split() == ["192.0.2.10"]
    assert dig(server.port, "www.shop.test", "+short", "+tcp").split() == ["192.0.2.10"]
    assert dig(server.port, "www.shop.test", "+short", "+subnet=203.0.113.0/24").split() == ["192.0.2.20"]
    told = dig(server.port, "www.shop.test", "+subnet=203.0.113.0/24")
    assert "CLIENT-SUBNET: 203.0.113.0/24/24" in told
    assert "COOKIE: " in told
    assert "(good)" in told


def test_failover_is_seen_by_the_next_question(server: DnsServer) -> None:
    server.set_state("frankfurt", healthy=0)
    assert dig(server.port, "www.shop.test", "+short").split() == ["192.0.2.20"]
    server.set_state("frankfurt")
    assert dig(server.port, "www.shop.test", "+short").split() == ["192.0.2.10"]
    with pytest.raises(ValueError, match="healthy is 2"):
        server.set_state("frankfurt", 2)


def test_dig_asks_again_over_tcp_for_what_is_long(server: DnsServer) -> None:
    told = dig(server.port, "many.shop.test", "TXT")
    assert told.count("\nmany.shop.test.") == 20
    assert "(TCP)" in told


def test_dig_shows_a_cookie_where_that_is_asked() -> None:
    with DnsServer(zone(), strict_cookies=True) as strict:
        assert dig(strict.port, "www.shop.test", "+short").split() == ["192.0.2.10"]
        assert "BADCOOKIE" in dig(strict.port, "www.shop.test", "+nobadcookie")


def test_several_questions_on_one_connection(server: DnsServer) -> None:
    query = dns.message.make_query("www.shop.test.", "A")
    wire = query.to_wire()
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        for _ in range(3):
            sock.sendall(len(wire).to_bytes(2, "big") + wire)
            found, _ = dns.query.receive_tcp(sock)
            assert found.id == query.id
        sock.sendall(b"\x00\x03abc")  # no query: the connection ends
        assert sock.recv(1) == b""


def test_connections_are_bounded_and_end_when_idle(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_server, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(dns_server, "IDLE", 0.5)
    query = dns.message.make_query("www.shop.test.", "A").to_wire()
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as one,
        socket.create_connection(("127.0.0.1", server.port), 5) as two,
    ):
        for sock in (one, two):  # so that they are open before the third comes
            sock.sendall(len(query).to_bytes(2, "big") + query)
            dns.query.receive_tcp(sock)
        with socket.create_connection(("127.0.0.1", server.port), 5) as three:
            assert three.recv(1) == b""
        one.sendall(b"\x00")  # half of a length
        assert one.recv(1) == two.recv(1) == b""
    assert dig(server.port, "www.shop.test", "+short", "+tcp").split() == ["192.0.2.10"]


def test_garbage_over_udp_is_survived(server: DnsServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for garbage in (b"", b"x", bytes(12), bytes(range(256)) * 5):
            sock.sendto(garbage, ("127.0.0.1", server.port))
    assert dig(server.port, "www.shop.test", "+short").split() == ["192.0.2.10"]


def test_a_port_that_is_taken_is_named(server: DnsServer) -> None:
    with pytest.raises(ProxyError, match="port is taken"), DnsServer(zone(), f"127.0.0.1:{server.port}"):
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with (
            pytest.raises(ProxyError, match="port is taken"),
            DnsServer(zone(), f"127.0.0.1:{sock.getsockname()[1]}"),
        ):
            pass


# -- behind a resolver --------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port that is free for UDP and for TCP."""
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with suppress(OSError):
                udp.bind(tcp.getsockname())
                return int(tcp.getsockname()[1])
    raise AssertionError("no port is free for both")


@contextmanager
def unbound(folder: Path, authoritative: int, *settings: str) -> Iterator[int]:
    """A resolver that asks our server about shop.test; yields its port."""
    port = free_port()
    lines = [
        "server:",
        *(f"  {line}" for line in (
            "interface: 127.0.0.1", f"port: {port}", "do-daemonize: no", 'username: ""', 'chroot: ""',
            'pidfile: ""', f'directory: "{folder}"', "use-syslog: no", "do-not-query-localhost: no",
            'local-zone: "test." nodefault', 'domain-insecure: "test."', 'module-config: "iterator"',
            "num-threads: 1", *settings,
        )),
        "remote-control:",
        "  control-enable: no",
        "stub-zone:",
        '  name: "shop.test."',
        f"  stub-addr: 127.0.0.1@{authoritative}",
    ]  # fmt: skip
    (folder / "unbound.conf").write_text("\n".join(lines) + "\n")
    with subprocess.Popen(
        [need("unbound"), "-d", "-c", str(folder / "unbound.conf")], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            for line in process.stderr:
                if "start of service" in line:
                    break
            else:
                raise AssertionError("unbound did not start")
            yield port
        finally:
            process.terminate()


def remaining(text: str) -> tuple[int, str]:
    """Return the remaining TTL and the address of dig's answer."""
    (line,) = [line for line in text.splitlines() if "\tA\t" in line]
    fields = line.split()
    return int(fields[1]), fields[-1]


def test_a_resolver_keeps_an_answer_for_its_ttl(tmp_path: Path) -> None:
    """A region that is down goes on being told until the TTL has passed: DNS failover is never at once."""
    with DnsServer(zone(ttl=2)) as server, unbound(tmp_path, server.port) as port:
        assert remaining(dig(port, "www.shop.test", "+noall", "+answer"))[1] == "192.0.2.10"
        asked = server.queries
        server.set_state("frankfurt", healthy=0)
        address, until = "192.0.2.10", time.monotonic() + 20
        while address == "192.0.2.10" and time.monotonic() < until:
            left, address = remaining(dig(port, "www.shop.test", "+noall", "+answer"))
            assert left <= 2
            assert server.queries == asked + (address != "192.0.2.10")  # not before the TTL has passed
        assert address == "192.0.2.20"


def test_a_resolver_with_a_minimum_keeps_it_for_longer_than_it_may(tmp_path: Path) -> None:
    with DnsServer(zone(ttl=2)) as server, unbound(tmp_path, server.port, "cache-min-ttl: 900") as port:
        left, _ = remaining(dig(port, "www.shop.test", "+noall", "+answer"))
        assert left > 800


def test_a_chooser_that_raises_answers_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Atlas):
        def locate(self, address: str) -> Location | None:
            raise ValueError("x.mmdb: the record of it is damaged")

    broken = Zone("shop.test", [], [Steered("www", Steering(REGIONS), ADDRESSES, Broken({}))])
    with DnsServer(broken) as server:
        query = dns.message.make_query("www.shop.test.", "A")
        for ask in (dns.query.udp, dns.query.tcp):
            assert ask(query, "127.0.0.1", port=server.port, timeout=5).rcode() is dns.rcode.SERVFAIL
        query = dns.message.make_query("shop.test.", "SOA")
        assert dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5).answer
    assert "answering a query failed" in capsys.readouterr().err
