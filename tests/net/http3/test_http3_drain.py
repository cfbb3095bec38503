"""The end of HTTP/3 connections: GOAWAY when the proxy stops or reloads, and what is said about HTTP/3."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from needs import need_feature

need_feature("http3", "cert")

from aioquic.h3.connection import ErrorCode
from http3_client import OK, Http3Client, get, lab, serving, tls_rules, wait_for
from scripted import GET, TIMEOUT, Connection, Scripted, answers, echo, field, proxied
from served import Server

from lbkit.net import Proxy
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.http3.frames import LAST_REQUEST
from lbkit.net.http3.rules import Http3
from lbkit.net.preflight import port_fault


class Held:
    """A backend that answers /slow when it is told to."""

    def __init__(self) -> None:
        self.arrived, self.release = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        while head := connection.head():
            if b"/slow" in head:
                self.arrived.set()
                assert self.release.wait(TIMEOUT)
            connection.send(OK)


def test_a_shutdown_lets_requests_end_and_says_so_twice() -> None:
    held = Held()
    with serving(held) as proxy, Http3Client(proxy) as client:
        slow = client.request(get(b"/slow"))
        assert held.arrived.wait(TIMEOUT)
        stopping = threading.Thread(target=proxy.stop)
        stopping.start()
        client.until(lambda: len(client.goaways) == 2)
        late = client.request(get())
        assert client.answer(late).reset == ErrorCode.H3_REQUEST_REJECTED
        held.release.set()
        assert client.answer(slow).body == b"ok"
        assert client.ended() == ErrorCode.H3_NO_ERROR
        stopping.join()
    assert client.goaways == [LAST_REQUEST, slow + 4]


def test_an_idle_connection_does_not_delay_a_shutdown() -> None:
    with serving(answers(OK)) as proxy, Http3Client(proxy) as client:
        assert client.ask(get()).body == b"ok"
        stopping = threading.Thread(target=proxy.stop)
        stopping.start()
        assert client.ended() == ErrorCode.H3_NO_ERROR
        stopping.join()


@pytest.mark.live
@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows")
def test_a_reload_lets_requests_end_and_moves_clients_to_the_new_process(tmp_path: Path) -> None:
    held = Held()
    files = f'cert = "{lab()}/a.test.pem", key = "{lab()}/a.test.key"'
    with (
        Scripted(held) as backend,
        Server(
            tmp_path / "a.toml", backend.port, http3="{}", tls=f"{{ certificates = [{{ {files} }}] }}"
        ) as server,
    ):
        server.http3_port = server.port
        with Http3Client(server) as client:
            assert client.ask(get()).body == b"ok"
            slow = client.request(get(b"/slow"))
            assert held.arrived.wait(TIMEOUT)
            server.hang_up()
            server.wait_for("reloaded")
            client.until(lambda: len(client.goaways) == 2)  # the old process has left the port
            with Http3Client(server) as other:
                assert other.ask(get()).body == b"ok"
                held.release.set()
                assert client.answer(slow).body == b"ok"
                assert client.ended() == ErrorCode.H3_NO_ERROR
                assert other.ask(get()).body == b"ok"
                assert not other.goaways


# -- what clients and operators are told -----------------------------------------------------------------


def by_tls(proxy: Proxy, request: bytes = GET) -> bytes:
    context = ssl.create_default_context(cafile=str(lab() / "ca.pem"))
    with (
        socket.create_connection((proxy.host, proxy.port), TIMEOUT) as sock,
        context.wrap_socket(sock, server_hostname="a.test") as tls,
    ):
        tls.sendall(request)
        return Connection(tls).head()


def test_others_are_told_where_http3_is_in_place_of_what_a_backend_says() -> None:
    data = OK.replace(b"\r\n\r\n", b'\r\nAlt-Svc: h3=":1"\r\n\r\n')
    with serving(answers(data)) as proxy:
        assert field(by_tls(proxy), "Alt-Svc") == [f'h3=":{proxy.http3_port}"; ma=86400']
        assert proxy.http3_port == proxy.port
    with serving(answers(OK), rules=Http3(public_port=443, max_age=60, listen="127.0.0.1:0")) as proxy:
        assert field(by_tls(proxy), "Alt-Svc") == ['h3=":443"; ma=60']
    with proxied(answers(OK), tls=tls_rules()) as proxy:
        assert field(by_tls(proxy), "Alt-Svc") == []


def test_plain_http_is_not_told() -> None:
    with (
        serving(echo, tls=tls_rules(redirect="127.0.0.1:0")) as proxy,
        socket.create_connection((proxy.host, proxy.redirect_port), TIMEOUT) as sock,
    ):
        sock.sendall(GET)
        assert field(Connection(sock).head(), "Alt-Svc") == []


BACKENDS = [{"address": "127.0.0.1:9"}]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "http3: it is always encrypted, and there are no certificates; add [tls]"),
        ({"workers": 2}, "use workers = 1"),
        ({"accept_proxy": ["127.0.0.1"]}, "remove it, or accept_proxy"),
        ({"http3": {"streams": 0}}, "http3.streams is 0"),
        ({"http3": {"listen": "x"}}, "http3.listen is 'x'"),
        ({"http3": {"window": 1}}, "http3.window is 1"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ProxyConfig.from_dict({"backends": BACKENDS, "http3": {}, **options})
    assert named in str(raised.value)


def test_client_certificates_cannot_be_bypassed_by_http3() -> None:
    rules = tls_rules(client_certificates="required", client_ca=str(lab() / "ca.pem"))
    with pytest.raises(ConfigError, match="it asks no client for a certificate"):
        ProxyConfig(backends=[], http3=Http3(), tls=rules)


def test_a_port_that_is_taken_is_named_before_the_start() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        config = ProxyConfig(http3=Http3(listen=address), tls=tls_rules(), listen="127.0.0.1:0")
        assert port_fault(config).startswith(f"http3.listen is '{address}': cannot listen")
    assert not port_fault(config)


def test_http_1_2_and_3_are_served_side_by_side() -> None:
    with serving(echo, http2=Http2()) as proxy, Http3Client(proxy) as client:
        assert client.ask(get()).status == 200
        assert by_tls(proxy).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: proxy.listener.requests == 0)
