"""TLS at the proxy, on real sockets, with Python's ssl as the client."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from event_loops import LOOPS
from needs import need_feature
from scripted import GET, TIMEOUT, answers, ask, echo, proxied

need_feature("cert")

from lbkit.net import Proxy
from lbkit.net import loop as loops
from lbkit.net.settings import Limits
from lbkit.net.tls.lab import make_certificates
from lbkit.net.tls.rules import Certificate, TlsRules

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["a.test", "*.b.test", "127.0.0.1"], clients=["alice"])
    return folder


@pytest.fixture(autouse=True, params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs on all event loops."""
    if request.param == "asyncio":
        monkeypatch.setattr(loops, "new_event_loop", asyncio.new_event_loop)


def files(lab: Path, *names: str) -> tuple[Certificate, ...]:
    return tuple(Certificate(str(lab / f"{name}.pem"), str(lab / f"{name}.key")) for name in names)


def rules(lab: Path, *names: str, **options: Any) -> TlsRules:
    return TlsRules(certificates=files(lab, *(names or ("a.test",))), **options)


def client_context(lab: Path, client: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(lab / "ca.pem"))
    if client:
        context.load_cert_chain(lab / f"{client}.pem", lab / f"{client}.key")
    return context


@contextmanager
def connected(
    proxy: Proxy,
    context: ssl.SSLContext,
    name: str | None = "a.test",
    session: ssl.SSLSession | None = None,
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as sock,
        context.wrap_socket(sock, server_hostname=name, session=session) as tls,
    ):
        yield tls


def received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    assert data, "closed in the middle of an answer"
    return data


def read_answer(sock: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += received(sock)
    return head, body


def names_of(sock: ssl.SSLSocket) -> list[str]:
    return [value for _, value in (sock.getpeercert() or {})["subjectAltName"]]  # type: ignore[misc]


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


# -- the handshake -----------------------------------------------------------------------------


def test_a_request_arrives_and_the_backend_knows_that_it_came_by_https(lab: Path) -> None:
    with proxied(echo, tls=rules(lab)) as proxy, connected(proxy, client_context(lab)) as sock:
        assert proxy.url.startswith("https://")
        for _ in range(2):  # the connection is kept
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: http\r\n\r\n")
            seen = read_answer(sock)[1]
            assert b"X-Forwarded-Proto: https\r\n" in seen
            assert b";proto=https" in seen
            assert seen.lower().count(b"x-forwarded-proto") == 1
        assert sock.version() == "TLSv1.3"


def test_a_large_body_passes_both_ways(lab: Path) -> None:
    """By a client of asyncio: a TLS socket may not be used by two threads at once."""
    body = os.urandom(3_000_000)
    request = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def answer(proxy: Proxy) -> bytes:
        context = client_context(lab)
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(
                proxy.host, proxy.port, ssl=context, server_hostname="a.test"
            )
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            found = await reader.readexactly(length)
            writer.close()
            await writer.wait_closed()
        return found

    with proxied(echo, tls=rules(lab)) as proxy:
        assert asyncio.run(answer(proxy)).endswith(body)


def test_alpn_offers_http_1_1(lab: Path) -> None:
    context = client_context(lab)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with proxied(echo, tls=rules(lab)) as proxy, connected(proxy, context) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


@pytest.mark.filterwarnings("ignore:.*TLSv1_1.*:DeprecationWarning")
@pytest.mark.parametrize(("minimum", "newest"), [("1.2", "TLSv1_1"), ("1.3", "TLSv1_2")])
def test_older_protocols_are_refused_with_an_alert(lab: Path, minimum: str, newest: str) -> None:
    context = client_context(lab)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[newest]
    with proxied(echo, tls=rules(lab, minimum=minimum)) as proxy:
        with pytest.raises(ssl.SSLError) as caught, connected(proxy, context):
            pass
        assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_ciphers_without_forward_secrecy_are_refused(lab: Path) -> None:
    context = client_context(lab)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:AES256-SHA:ECDHE-ECDSA-AES128-SHA")
    with proxied(echo, tls=rules(lab)) as proxy:
        with pytest.raises(ssl.SSLError) as caught, connected(proxy, context):
            pass
        assert caught.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(lab: Path, version: ssl.TLSVersion) -> None:
    context = client_context(lab)
    context.minimum_version = context.maximum_version = version
    with proxied(answers(OK), tls=rules(lab, "a.test", "_wildcard.b.test")) as proxy:
        for name in ("a.test", "x.b.test"):
            with connected(proxy, context, name) as sock:
                sock.sendall(GET)
                read_answer(sock)  # with TLS 1.3 the ticket comes after the handshake
                session = sock.session
            with connected(proxy, context, name, session) as sock:
                assert sock.session_reused
                sock.sendall(GET)
                assert read_answer(sock)[1] == b"ok"


# -- the certificate by name ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "certificate"),
    [
        ("a.test", "a.test"),
        ("A.TEST", "a.test"),
        ("x.b.test", "*.b.test"),
        ("127.0.0.1", "127.0.0.1"),  # an address is never sent as a name: the first certificate
    ],
)
def test_the_name_chooses_the_certificate(lab: Path, name: str, certificate: str) -> None:
    with (
        proxied(echo, tls=rules(lab, "127.0.0.1", "a.test", "_wildcard.b.test")) as proxy,
        connected(proxy, client_context(lab), name) as sock,
    ):
        assert names_of(sock) == [certificate]


@pytest.mark.parametrize("name", ["c.test", "b.test", "x.y.b.test", None])
def test_an_unknown_name_gets_the_first_certificate(lab: Path, name: str | None) -> None:
    context = client_context(lab)
    context.check_hostname = False
    with (
        proxied(echo, tls=rules(lab, "a.test", "_wildcard.b.test")) as proxy,
        connected(proxy, context, name) as sock,
    ):
        assert names_of(sock) == ["a.test"]


@pytest.mark.parametrize("name", ["c.test", None])
def test_with_strict_an_unknown_name_is_refused_with_an_alert(lab: Path, name: str | None) -> None:
    context = client_context(lab)
    context.check_hostname = False
    with proxied(echo, tls=rules(lab, strict=True)) as proxy:
        with pytest.raises(ssl.SSLError) as caught, connected(proxy, context, name):
            pass
        assert caught.value.reason == "TLSV1_UNRECOGNIZED_NAME"
        with connected(proxy, context) as sock:
            assert names_of(sock) == ["a.test"]


# -- what is no handshake --------------------------------------------------------------------------


def test_plain_http_on_the_tls_port_gets_an_answer_that_says_so(lab: Path) -> None:
    with proxied(echo, tls=rules(lab)) as proxy:
        status, head, body = ask(proxy)
        assert status == 400
        assert b"\r\nConnection: close" in head
        assert b"https://" in body


def test_what_is_neither_tls_nor_http_is_closed(lab: Path) -> None:
    with (
        proxied(echo, tls=rules(lab)) as proxy,
        socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as sock,
    ):
        sock.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        with suppress(ConnectionResetError):
            assert sock.recv(100) in (b"", b"\x15\x03\x01\x00\x02\x02F")  # at most an alert


def test_a_handshake_that_never_ends_is_closed_and_others_are_served(lab: Path) -> None:
    with proxied(answers(OK), tls=rules(lab, handshake=0.4)) as proxy:
        silent = [socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) for _ in range(5)]
        silent[0].sendall(b"\x16\x03\x01\x02\x00\x01")  # a hello that breaks off
        with connected(proxy, client_context(lab)) as sock:
            sock.sendall(GET)
            assert read_answer(sock)[1] == b"ok"
        began = time.monotonic()
        for sock in silent:
            with suppress(ConnectionResetError):
                assert sock.recv(10) == b""
            sock.close()
        assert time.monotonic() - began < 5
        until(lambda: not proxy.tls.waiting())  # type: ignore[union-attr]


def test_handshakes_count_as_connections(lab: Path) -> None:
    with proxied(answers(OK), tls=rules(lab, handshake=0.5), limits=Limits(connections=2)) as proxy:
        silent = [socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) for _ in range(2)]
        until(lambda: proxy.tls.waiting() == 2)  # type: ignore[union-attr]
        with pytest.raises(OSError), connected(proxy, client_context(lab)):  # noqa: PT011 - reset or end
            pass
        for sock in silent:
            sock.close()
        until(lambda: not proxy.tls.waiting())  # type: ignore[union-attr]
        with connected(proxy, client_context(lab)) as sock:
            sock.sendall(GET)
            assert read_answer(sock)[1] == b"ok"


def test_an_error_answer_arrives_whole_and_the_connection_closes(lab: Path) -> None:
    with proxied(echo, tls=rules(lab)) as proxy, connected(proxy, client_context(lab)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + b"x" * 50_000)
        head, _ = read_answer(sock)
        assert head.startswith(b"HTTP/1.1 400 ")
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_a_websocket_passes_and_ends_on_both_sides(lab: Path) -> None:
    upgrade = (
        b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    gone = threading.Event()

    def backend(connection: Any) -> None:
        connection.head()
        connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        connection.send(connection.exactly(4))
        with suppress(OSError):
            connection.sock.recv(1)
        gone.set()

    with proxied(backend, tls=rules(lab)) as proxy:
        with connected(proxy, client_context(lab)) as sock:
            sock.sendall(upgrade)
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(1000)
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"
        assert gone.wait(TIMEOUT)
        until(lambda: not proxy.listener.open)


# -- reload ------------------------------------------------------------------------------------------


def copied(lab: Path, folder: Path, name: str) -> TlsRules:
    for end in ("pem", "key"):
        (folder / f"site.{end}").write_bytes((lab / f"{name}.{end}").read_bytes())
    return rules(folder, "site", reload=0.05)


def test_changed_files_are_served_and_open_connections_go_on(lab: Path, tmp_path: Path) -> None:
    context = client_context(lab)
    with (
        proxied(answers(OK), tls=copied(lab, tmp_path, "a.test")) as proxy,
        connected(proxy, context, "a.test") as old,
    ):
        assert names_of(old) == ["a.test"]
        copied(lab, tmp_path, "_wildcard.b.test")

        def renewed() -> bool:
            with suppress(ssl.SSLError), connected(proxy, context, "x.b.test") as new:
                return names_of(new) == ["*.b.test"]
            return False

        until(renewed)
        old.sendall(GET)
        assert read_answer(old)[1] == b"ok"


def test_a_bad_file_changes_nothing_and_says_why(
    lab: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def says(text: str) -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return text in said

    with proxied(answers(OK), tls=copied(lab, tmp_path, "a.test")) as proxy:
        (tmp_path / "site.pem").write_text("no certificate\n")
        until(lambda: says("tls.certificates[0].cert is "))
        assert "stay in use" in said
        assert str(tmp_path / "site.pem") in said
        with connected(proxy, client_context(lab)) as sock:
            assert names_of(sock) == ["a.test"]
        (tmp_path / "site.pem").unlink()
        until(lambda: says("No such file"))
        (tmp_path / "site.pem").write_bytes((lab / "a.test.pem").read_bytes())
        until(lambda: says("the files have changed"))
        assert said.count("site.pem") == 2  # each fault is said once


# -- clients' certificates ------------------------------------------------------------------------------


def asking(lab: Path, how: str, **options: Any) -> TlsRules:
    return rules(lab, client_certificates=how, client_ca=str(lab / "ca.pem"), **options)


@pytest.mark.parametrize("how", ["optional", "required"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_backend_gets_the_verified_name(lab: Path, how: str, version: ssl.TLSVersion) -> None:
    context = client_context(lab, "alice")
    context.minimum_version = context.maximum_version = version
    with proxied(echo, tls=asking(lab, how)) as proxy:
        session = None
        for _ in range(2):
            with connected(proxy, context, session=session) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: Subject=CN=root\r\n\r\n")
                seen = read_answer(sock)[1]
                assert b"CN=alice" in seen
                assert b"root" not in seen
                assert seen.lower().count(b"client-cert") == 1
                assert sock.session_reused == (session is not None)
                session = sock.session  # the name is known as well when a session is resumed


@pytest.mark.parametrize("trusted", [(), ("127.0.0.1",)])
@pytest.mark.parametrize("field", [b"X-Forwarded-Client-Cert", b"x_forwarded-client_cert"])
def test_a_client_without_a_certificate_cannot_claim_a_name(
    lab: Path, trusted: tuple[str, ...], field: bytes
) -> None:
    with (
        proxied(echo, tls=asking(lab, "optional"), trusted=trusted) as proxy,
        connected(proxy, client_context(lab)) as sock,
    ):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b": CN=root\r\n\r\n")
        seen = read_answer(sock)[1]
        assert b"root" not in seen


def test_a_client_without_a_certificate_is_refused_where_one_is_required(lab: Path) -> None:
    with proxied(echo, tls=asking(lab, "required")) as proxy:
        with pytest.raises(ssl.SSLError) as caught, connected(proxy, client_context(lab)) as sock:
            sock.recv(1)  # with TLS 1.3 the client has finished before the server knows
        assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


@pytest.mark.parametrize("how", ["optional", "required"])
def test_a_certificate_of_another_authority_is_refused(lab: Path, tmp_path: Path, how: str) -> None:
    make_certificates(tmp_path, clients=["mallory"])
    context = client_context(lab)
    context.load_cert_chain(tmp_path / "mallory.pem", tmp_path / "mallory.key")
    with proxied(echo, tls=asking(lab, how)) as proxy:
        with pytest.raises(ssl.SSLError) as caught, connected(proxy, context) as sock:
            sock.recv(1)
        assert caught.value.reason in ("TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_DECRYPT_ERROR")


def test_a_session_from_before_the_authority_changed_is_not_resumed(lab: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path / "other", clients=["bob"])
    authority = tmp_path / "ca.pem"
    authority.write_bytes((lab / "ca.pem").read_bytes())
    context = client_context(lab, "alice")
    tls = rules(lab, client_certificates="required", client_ca=str(authority), reload=0.0)
    with proxied(answers(OK), tls=tls) as proxy:
        with connected(proxy, context) as sock:
            sock.sendall(GET)
            read_answer(sock)
            session = sock.session
        authority.write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
        assert proxy.tls
        assert proxy.call(proxy.tls.reload)
        with pytest.raises(ssl.SSLError), connected(proxy, context, session=session) as sock:
            sock.recv(1)


# -- to HTTPS, and there only ----------------------------------------------------------------------------


def plain(proxy: Proxy, request: bytes) -> bytes:
    with socket.create_connection((proxy.host, proxy.redirect_port), timeout=TIMEOUT) as sock:
        sock.sendall(request)
        return read_answer(sock)[0]


@pytest.mark.parametrize(
    ("host", "path", "port", "location"),
    [
        (b"a.test", b"/x?y=1", 443, b"https://a.test/x?y=1"),
        (b"a.test:8080", b"/", 443, b"https://a.test/"),
        (b"a.test:8080", b"/", 8443, b"https://a.test:8443/"),
        (b"[::1]", b"/", 443, b"https://[::1]/"),
        (b"[::1]:80", b"/", 8443, b"https://[::1]:8443/"),
        (b"a.test", b"//evil.test/x", 443, b"https://a.test//evil.test/x"),
    ],
)
def test_plain_http_is_redirected(lab: Path, host: bytes, path: bytes, port: int, location: bytes) -> None:
    tls = rules(lab, redirect="127.0.0.1:0", public_port=port, hsts=60)
    with proxied(echo, tls=tls) as proxy:
        head = plain(proxy, b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % (path, host))
        assert head.startswith(b"HTTP/1.1 308 ")
        assert b"\r\nLocation: " + location + b"\r\n" in head + b"\r\n"
        assert b"Strict-Transport-Security" not in head
        assert proxy.scripted[0].connections == 0  # type: ignore[attr-defined]


def test_a_redirect_leads_to_the_port_that_the_proxy_listens_on(lab: Path) -> None:
    with proxied(echo, tls=rules(lab, redirect="127.0.0.1:0")) as proxy:
        head = plain(proxy, GET)
        assert b":%d/" % proxy.port in head


def test_a_trusted_proxy_that_ends_tls_in_front_is_not_redirected(lab: Path) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"
    with proxied(echo, tls=rules(lab, redirect="127.0.0.1:0"), trusted=("127.0.0.1",)) as proxy:
        assert plain(proxy, request).startswith(b"HTTP/1.1 200 ")
    with proxied(echo, tls=rules(lab, redirect="127.0.0.1:0")) as proxy:
        assert plain(proxy, request).startswith(b"HTTP/1.1 308 ")


def test_hsts_replaces_the_backends_and_is_in_own_answers(lab: Path) -> None:
    backends = b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"
    with (
        proxied(answers(backends), tls=rules(lab, hsts=31536000, hsts_subdomains=True)) as proxy,
        connected(proxy, client_context(lab)) as sock,
    ):
        for _ in range(2):
            sock.sendall(GET)
            head, _ = read_answer(sock)
            assert head.lower().count(b"strict-transport-security") == 1
            assert b"\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains" in head
            proxy.scripted[0].close()  # type: ignore[attr-defined]
        assert head.startswith(b"HTTP/1.1 50")


# -- what is off costs nothing ------------------------------------------------------------------------------


def test_a_plain_proxy_has_no_hook_and_no_task_for_tls(lab: Path) -> None:
    with proxied(echo) as proxy:
        assert proxy.tls is None
        assert proxy.filters == {}
        assert b"X-Forwarded-Proto: http\r\n" in ask(proxy)[2]
    with proxied(echo, tls=rules(lab)) as proxy:
        assert proxy.filters == {}  # redirect, HSTS and clients' certificates are off by themselves
