"""PROXY protocol at the HTTP proxy: read from trusted peers, written to backends; HAProxy and nginx."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fronts import haproxy, nginx
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need, need_feature
from scripted import GET, TIMEOUT, Client, Connection, Scripted, ask, echo, field, pool_of, proxied
from served import Server, wait_until

from lbkit.edge import RateLimit
from lbkit.net import Limits, Proxy, Timeouts
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.l4.proxy_protocol import Header, Transport, write_v1, write_v2
from lbkit.net.tls.rules import Certificate, TlsRules

LOCAL = ["127.0.0.1/32"]
CLIENT = Header(Transport.TCP4, ("203.0.113.7", 4711), ("198.51.100.1", 80))
SIX = Header(Transport.TCP6, ("2001:db8::7", 4711), ("2001:db8::1", 80))
OVER_TLS = Header(Transport.TCP4, CLIENT.source, CLIENT.destination, tlvs=((0x20, b"\x01\0\0\0\0"),))


def seen_by_backend(proxy: Proxy, data: bytes) -> bytes:
    """What the backend, an echo, gets of a request."""
    status, _, body = ask(proxy, data)
    assert status == 200
    return body


def asked_from(address: str, port: int, data: bytes = GET) -> bytes:
    """The body of the answer to a client at this address of the machine."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=(address, 0)) as sock:
        sock.sendall(data)
        connection = Connection(sock)
        return connection.body(connection.head())


# -- from proxies in front ------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_v1, write_v2])
@pytest.mark.parametrize(("header", "address"), [(CLIENT, "203.0.113.7"), (SIX, "2001:db8::7")])
def test_backends_see_the_client_that_a_trusted_peer_announces(write, header: Header, address: str) -> None:
    with proxied(echo, accept_proxy=LOCAL) as proxy:
        seen = seen_by_backend(proxy, write(header) + GET)
        assert field(seen, "X-Forwarded-For") == [address]
        assert field(seen, "X-Forwarded-Proto") == ["http"]


def test_a_peer_that_speaks_for_itself_is_the_client() -> None:
    """As a health check of HAProxy does: LOCAL, or UNKNOWN."""
    with proxied(echo, accept_proxy=LOCAL) as proxy:
        for header in (b"PROXY UNKNOWN\r\n", write_v2(Header(Transport.UNKNOWN, local=True))):
            assert field(seen_by_backend(proxy, header + GET), "X-Forwarded-For") == ["127.0.0.1"]


def test_the_scheme_is_the_one_by_which_the_client_came_to_the_front() -> None:
    with proxied(echo, accept_proxy=LOCAL) as proxy:
        assert field(seen_by_backend(proxy, write_v2(OVER_TLS) + GET), "X-Forwarded-Proto") == ["https"]


def test_keys_and_limits_are_the_announced_clients() -> None:
    """Without a header every request would have the address of the peer: one client, one backend."""
    limit = RateLimit({"kind": "token_bucket", "rate": 0.001, "burst": 2}, key="client")
    with proxied(echo, accept_proxy=LOCAL, rate_limits=limit) as proxy:

        def status(host: int) -> int:
            header = Header(Transport.TCP4, (f"203.0.113.{host}", 1), ("198.51.100.1", 80))
            return ask(proxy, write_v1(header) + GET)[0]

        assert [status(1) for _ in range(3)] == [200, 200, 429]
        assert [status(2) for _ in range(3)] == [200, 200, 429]


def test_the_access_log_has_the_announced_client(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with proxied(echo, accept_proxy=LOCAL, access_log=str(log)) as proxy:
        ask(proxy, write_v1(CLIENT) + GET)
        wait_until(lambda: log.read_text())
    assert "203.0.113.7" in log.read_text()


def test_a_header_of_a_peer_that_is_not_trusted_is_no_request() -> None:
    with proxied(echo, accept_proxy=["192.0.2.0/24"]) as proxy:
        assert ask(proxy, write_v1(CLIENT) + GET)[0] == 400
        assert field(seen_by_backend(proxy, GET), "X-Forwarded-For") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "data", [GET, b"PROXY TCP4 nonsense\r\n" + GET, b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", b"PROXY "]
)
def test_a_trusted_peer_must_send_a_header(data: bytes) -> None:
    with proxied(echo, accept_proxy=LOCAL) as proxy, Client(proxy) as client:
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()
        assert any("PROXY header" in line for line in proxy.faults.lines())


def test_a_header_that_does_not_come_in_time_ends_the_connection() -> None:
    with proxied(echo, accept_proxy=LOCAL, timeouts=Timeouts(head=0.1)) as proxy, Client(proxy) as client:
        client.send(b"PROXY TCP4 ")
        assert client.closed()
        assert any("took too long" in line for line in proxy.faults.lines())


def test_connections_without_a_header_yet_count_against_the_limit() -> None:
    with proxied(echo, accept_proxy=LOCAL, limits=Limits(connections=2)) as proxy:
        with Client(proxy), Client(proxy), Client(proxy) as third:
            assert third.closed()
        wait_until(lambda: not proxy.call(lambda: proxy.listener.open))
        wait_until(lambda: _answers(proxy))


def _answers(proxy: Proxy) -> bool:
    try:
        return ask(proxy, write_v1(CLIENT) + GET)[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def accepting() -> Iterator[Proxy]:
    with proxied(echo, accept_proxy=LOCAL) as proxy:
        yield proxy


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([write_v1(CLIENT), write_v2(CLIENT), write_v2(OVER_TLS)]), st.data())
def test_a_header_may_come_in_any_pieces(accepting: Proxy, header: bytes, data: st.DataObject) -> None:
    whole = header + GET
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=5)))
    with Client(accepting) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            client.send(whole[start:end])
        status, _, body = client.answer()
    assert (status, field(body, "X-Forwarded-For")) == (200, ["203.0.113.7"])


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", write_v2(CLIENT)])
)
def test_no_bytes_do_harm(accepting: Proxy, data: bytes, start: bytes) -> None:
    with Client(accepting) as client:
        client.send(start + data)
        client.sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            client.rest()
    assert _answers(accepting)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_feature("cert")
    from lbkit.net.tls.lab import make_certificates

    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["a.test"])
    (folder / "both.pem").write_bytes(
        (folder / "a.test.pem").read_bytes() + (folder / "a.test.key").read_bytes()
    )
    return folder


def tls_client(lab: Path, port: int, first: bytes = b"") -> bytes:
    """What the backend gets of a request over TLS, after these bytes in clear."""
    context = ssl.create_default_context(cafile=str(lab / "ca.pem"))
    with socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=("127.0.0.3", 0)) as sock:
        sock.sendall(first)
        with context.wrap_socket(sock, server_hostname="a.test") as tls:
            tls.sendall(GET)
            connection = Connection(tls)
            return connection.body(connection.head())


def rules(lab: Path, **options: object) -> TlsRules:
    files = Certificate(str(lab / "a.test.pem"), str(lab / "a.test.key"))
    return TlsRules(certificates=(files,), **options)  # type: ignore[arg-type]


def test_a_handshake_may_follow_the_header(lab: Path) -> None:
    with proxied(echo, accept_proxy=["127.0.0.0/8"], tls=rules(lab)) as proxy:
        seen = tls_client(lab, proxy.port, write_v2(CLIENT))
        assert field(seen, "X-Forwarded-For") == ["203.0.113.7"]
        assert field(seen, "X-Forwarded-Proto") == ["https"]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            tls_client(lab, proxy.port)
        assert proxy.call(lambda: dict(proxy.listener.announced)) == {}


def test_the_address_that_redirects_to_https_reads_the_header_too(lab: Path) -> None:
    with (
        proxied(echo, accept_proxy=LOCAL, tls=rules(lab, redirect="127.0.0.1:0")) as proxy,
        socket.create_connection(("127.0.0.1", proxy.redirect_port), TIMEOUT) as sock,
    ):
        sock.sendall(write_v1(CLIENT) + GET.replace(b"Host: a", b"Host: a.test"))
        assert Connection(sock).head().startswith(b"HTTP/1.1 308 ")


# -- to backends ----------------------------------------------------------------------------------------


def heads_first(connection: Connection) -> None:
    """An echo that has a PROXY header in version 1 before its requests."""
    line = connection.until(b"\r\n")
    while head := connection.head():
        seen = line + head + connection.body(head)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seen), seen))


def test_each_client_has_backend_connections_of_its_own() -> None:
    with proxied(heads_first, send_proxy="v1") as proxy, Client(proxy) as one, Client(proxy) as two:
        for client in (one, two, one, two, one):
            client.send(GET)
            _, _, body = client.answer()
            ends = client.sock.getsockname(), client.sock.getpeername()
            assert body.startswith(write_v1(Header(Transport.TCP4, *ends)))
        assert proxy.scripted[0].connections == 2  # type: ignore[attr-defined]


def test_an_announced_client_is_announced_again() -> None:
    with proxied(heads_first, accept_proxy=LOCAL, send_proxy="v1") as proxy:
        assert seen_by_backend(proxy, write_v2(SIX) + GET).startswith(write_v1(SIX))


def test_where_no_more_may_rest_the_longest_at_rest_gives_way() -> None:
    limits = Limits(idle_per_backend=1)
    with proxied(heads_first, send_proxy="v1", limits=limits) as proxy:
        with Client(proxy) as one, Client(proxy) as two:
            for client in (one, two, two, one, one):
                client.send(GET)
                assert client.answer()[0] == 200
        assert proxy.scripted[0].connections == 3  # type: ignore[attr-defined]


def test_health_checks_announce_themselves() -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        seen.append(connection.until(b"\r\n\r\n"))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    checks = {"interval": 0.2, "timeout": 0.2}
    with Scripted(script) as backend:
        data = {
            "listen": "127.0.0.1:0",
            "send_proxy": "v1",
            "backends": [{"address": f"127.0.0.1:{backend.port}"}],
            "policy": {"health": {"checks": checks}},
        }
        with Proxy(config=ProxyConfig.from_dict(data)):
            wait_until(lambda: seen)
    assert seen[0].startswith(b"PROXY UNKNOWN\r\nGET /health ")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"accept_proxy": ["everyone"]}, "accept_proxy: 'everyone' does not appear to be"),
        ({"send_proxy": "v3"}, "send_proxy is 'v3': use v1 or v2"),
        (
            {"send_proxy": "v1", "backends": [{"address": "127.0.0.1:1", "protocol": "h2"}]},
            "backends\\[0\\].protocol is 'h2', and send_proxy is set",
        ),
    ],
)
def test_what_cannot_be_is_one_line(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], **options})


# -- real programs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_haproxy_in_front(tmp_path: Path, how: str) -> None:
    with (
        proxied(echo, accept_proxy=LOCAL) as proxy,
        haproxy(tmp_path, "", f"127.0.0.1:{proxy.port} {how}") as port,
    ):
        assert field(asked_from("127.0.0.2", port), "X-Forwarded-For") == ["127.0.0.2"]


def test_haproxy_that_ends_tls_in_front(tmp_path: Path, lab: Path) -> None:
    with (
        proxied(echo, accept_proxy=LOCAL) as proxy,
        haproxy(tmp_path, f"ssl crt {lab}/both.pem", f"127.0.0.1:{proxy.port} send-proxy-v2-ssl") as port,
    ):
        seen = tls_client(lab, port)
        assert field(seen, "X-Forwarded-For") == ["127.0.0.3"]
        assert field(seen, "X-Forwarded-Proto") == ["https"]


def test_haproxys_health_checks_pass(tmp_path: Path) -> None:
    """They say LOCAL; without `check` of HTTP they end the connection at once."""
    with (
        proxied(echo, accept_proxy=LOCAL) as proxy,
        haproxy(
            tmp_path, "", f"127.0.0.1:{proxy.port} send-proxy-v2 check inter 50 rise 1 fall 1", mode="http",
            more=" option httpchk GET /",
        ) as port,
    ):  # fmt: skip
        wait_until(lambda: proxy.pool.backends[0].picks >= 3)
        assert field(asked_from("127.0.0.2", port), "X-Forwarded-For") == ["127.0.0.2"]


def test_nginx_in_front(tmp_path: Path) -> None:
    with proxied(echo, accept_proxy=LOCAL) as proxy:
        stream = (
            f"server {{ listen 127.0.0.1:{{port}}; proxy_protocol on; proxy_pass 127.0.0.1:{proxy.port}; }}"
        )
        with nginx(tmp_path, stream=stream) as port:
            assert field(asked_from("127.0.0.2", port), "X-Forwarded-For") == ["127.0.0.2"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind(tmp_path: Path, version: str) -> None:
    with Scripted(echo) as backend:
        http = {"mode": "http", "more": " option forwardfor header X-Seen"}
        with (
            haproxy(tmp_path, "accept-proxy", f"127.0.0.1:{backend.port}", **http) as port,
            Proxy(pool_of(port), send_proxy=version) as proxy,
        ):
            assert field(asked_from("127.0.0.2", proxy.port), "X-Seen") == ["127.0.0.2"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_behind(tmp_path: Path, version: str) -> None:
    http = (
        'server { listen 127.0.0.1:{port} proxy_protocol; location / { return 200 "$proxy_protocol_addr"; } }'
    )
    with nginx(tmp_path, http) as port, Proxy(pool_of(port), send_proxy=version) as proxy:
        assert asked_from("127.0.0.2", proxy.port) == b"127.0.0.2"
        assert asked_from("127.0.0.4", proxy.port) == b"127.0.0.4"


def curl(*arguments: str) -> str:
    done = subprocess.run(
        [need("curl"), "-s", "--show-error", "--max-time", "20", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_says_the_header_before_either_version_of_http(version: str) -> None:
    need_feature("http2")
    with proxied(echo, accept_proxy=LOCAL, http2=Http2()) as proxy:
        seen = curl("--haproxy-protocol", "--interface", "127.0.0.1", version, f"{proxy.url}/")
    assert "X-Forwarded-For: 127.0.0.1\n" in seen


def test_http2_over_tls_follows_a_header(tmp_path: Path, lab: Path) -> None:
    need_feature("http2")
    with (
        proxied(echo, accept_proxy=LOCAL, tls=rules(lab), http2=Http2()) as proxy,
        haproxy(tmp_path, "", f"127.0.0.1:{proxy.port} send-proxy-v2") as port,
    ):
        where = ["--cacert", f"{lab}/ca.pem", "--resolve", f"a.test:{port}:127.0.0.1"]
        where += ["--interface", "127.0.0.5", "--write-out", "%{http_version}"]
        seen = curl("--http2", *where, f"https://a.test:{port}/")
    assert seen.endswith("2")
    assert "X-Forwarded-For: 127.0.0.5\n" in seen


# -- lbkit proxy ------------------------------------------------------------------------------------------


def test_workers_and_a_reload(tmp_path: Path) -> None:
    with (
        Scripted(echo) as backend,
        Server(tmp_path / "a.toml", backend.port, workers=2, accept_proxy='["127.0.0.1"]') as server,
    ):
        data = write_v1(CLIENT) + GET

        def client() -> list[str]:
            return field(ask(server, data)[2], "X-Forwarded-For")

        assert [client() for _ in range(8)] == 8 * [["203.0.113.7"]]
        with Client(server) as kept:
            kept.send(data)
            assert kept.answer()[0] == 200
            server.hang_up()
            server.wait_for("reloaded")
            assert [client() for _ in range(8)] == 8 * [["203.0.113.7"]]
            wait_until(lambda: len(server.workers()) == 2)  # the old ones have ended
            assert [client() for _ in range(8)] == 8 * [["203.0.113.7"]]
            assert kept.closed()
