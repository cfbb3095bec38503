"""Real clients: curl, httpx, nghttp and h2load, by prior knowledge and over TLS."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from needs import need, need_feature, need_module

need_feature("http2", "cert")
need_module("httpx")

import httpx
from http2_client import OK, Http2Client, get, serving
from scripted import TIMEOUT, answers, echo, field

from lbkit.net import Proxy
from lbkit.net.tls.lab import make_certificates
from lbkit.net.tls.rules import Certificate, TlsRules


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["a.test", "b.test", "127.0.0.1"])
    return folder


def tls(lab: Path) -> TlsRules:
    names = ("127.0.0.1", "a.test", "b.test")
    return TlsRules(certificates=[Certificate(str(lab / f"{n}.pem"), str(lab / f"{n}.key")) for n in names])


def context(lab: Path, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(lab / "ca.pem"))
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def run(*command: str, data: bytes | None = None) -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    version = subprocess.run([need("curl"), "-V"], capture_output=True, timeout=60, check=True).stdout
    if b"HTTP2" not in version:
        pytest.skip("this curl has no HTTP/2: apt-get install curl (macOS: brew install curl)")
    return run("curl", "-sS", "--max-time", "30", *arguments, data=data)


def test_curl_by_prior_knowledge() -> None:
    with serving(echo) as proxy:
        out = curl("--http2-prior-knowledge", "-w", " %{http_version}", proxy.url + "/x")
    assert out.startswith(b"GET /x HTTP/1.1\r\n")
    assert out.endswith(b" 2")


def test_curl_over_tls_negotiates_http_2(lab: Path) -> None:
    with serving(echo, tls=tls(lab)) as proxy:
        out = curl("--cacert", str(lab / "ca.pem"), "-w", " %{http_version}", proxy.url + "/x")
        assert out.endswith(b" 2")
        assert field(out, "X-Forwarded-Proto") == ["https"]
        out = curl("--http1.1", "--cacert", str(lab / "ca.pem"), "-w", " %{http_version}", proxy.url + "/x")
        assert out.endswith(b" 1.1")


@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_header_may_come_before_http_2(lab: Path, secure: bool) -> None:
    options: dict[str, object] = {"tls": tls(lab)} if secure else {}
    how = ["--cacert", str(lab / "ca.pem")] if secure else ["--http2-prior-knowledge"]
    with serving(echo, accept_proxy=["127.0.0.1"], **options) as proxy:
        out = curl("--haproxy-protocol", *how, "-w", " %{http_version}", proxy.url)
    assert out.endswith(b" 2")
    assert field(out, "X-Forwarded-For") == ["127.0.0.1"]


def test_curl_sends_and_gets_what_is_large(tmp_path: Path) -> None:
    with serving(echo) as proxy:
        body = bytes(range(256)) * 8000
        out = curl("--http2-prior-knowledge", "--data-binary", "@-", proxy.url, data=body)
    assert out.endswith(b"\r\n\r\n" + body)


def test_httpx_over_tls_makes_requests_at_once(lab: Path) -> None:
    named = [answers(OK.replace(b"ok", name)) for name in (b"b1", b"b2")]
    with (
        serving(*named, tls=tls(lab)) as proxy,
        httpx.Client(http2=True, verify=context(lab), timeout=TIMEOUT) as client,
    ):
        got = [client.get(proxy.url) for _ in range(6)]
        assert {answer.http_version for answer in got} == {"HTTP/2"}
        assert sorted(answer.text for answer in got) == ["b1"] * 3 + ["b2"] * 3


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (("h2", "http/1.1"), "h2"),
        (("http/1.1", "h2"), "h2"),
        (("http/1.1",), "http/1.1"),
        ((), None),
        (("h3",), None),
    ],
)
@pytest.mark.parametrize("name", ["127.0.0.1", "b.test"])
def test_alpn_prefers_http_2_for_each_certificate(
    lab: Path, offers: tuple[str, ...], chosen: str | None, name: str
) -> None:
    with (
        serving(echo, tls=tls(lab)) as proxy,
        socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as sock,
        context(lab, *offers).wrap_socket(sock, server_hostname=name) as secured,
    ):
        assert secured.selected_alpn_protocol() == chosen


def test_one_who_has_chosen_http_2_cannot_speak_http_1(lab: Path) -> None:
    with (
        serving(echo, tls=tls(lab)) as proxy,
        socket.create_connection((proxy.host, proxy.port), timeout=TIMEOUT) as sock,
        context(lab, "h2").wrap_socket(sock, server_hostname="a.test") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        data = b""
        while piece := secured.recv(65_536):
            data += piece
        assert b"HTTP/1.1" not in data


def test_trailers_and_large_answers_over_tls(lab: Path) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n"
    body = b"x" * 1_000_000
    with (
        serving(answers(data % (len(body), body)), tls=tls(lab)) as proxy,
        Http2Client(proxy, context(lab, "h2")) as client,
    ):
        answer = client.ask(get())
        assert answer.body == body
        assert answer.trailers == {b"x-sum": b"1"}


def test_nghttp() -> None:
    nghttp = need("nghttp")
    with serving(echo) as proxy:
        out = run(nghttp, "-v", "--no-dep", proxy.url + "/a", proxy.url + "/b")
    assert out.count(b":status: 200") == 2
    assert b"error_code=NO_ERROR" in out
    assert b"PROTOCOL_ERROR" not in out


def load(proxy: Proxy, *arguments: str) -> str:
    return run(need("h2load"), *arguments, proxy.url + "/").decode()


@pytest.mark.live
def test_h2load_in_clear_text_and_over_tls(lab: Path) -> None:
    arguments = ("-n", "1000", "-c", "5", "-m", "20")
    for options in ({}, {"tls": tls(lab)}):
        with serving(answers(OK), answers(OK), **options) as proxy:
            out = load(proxy, *arguments)
            assert "1000 succeeded, 0 failed, 0 errored" in out
            assert re.search(r"Application protocol: h2c?\n", out)
            counts = [one.connections for one in proxy.scripted]  # type: ignore[attr-defined]
            assert all(counts)
