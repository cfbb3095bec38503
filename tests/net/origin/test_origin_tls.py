"""TLS to backends, on real sockets, with certificates of a lab's authority."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from event_loops import LOOPS
from needs import need_feature
from scripted import Client, Scripted, answers, ask, echo

need_feature("cert")

import trustme

from lbkit.core.health import CheckRules, HealthRules, MaxFailsRules, Probe
from lbkit.experiment import Policy
from lbkit.net import BackendConfig, ConfigError, Proxy, ProxyConfig
from lbkit.net import loop as loops
from lbkit.net.preflight import notes, start_faults
from lbkit.net.tls.lab import CA_CERT, CA_KEY, make_certificates, write
from lbkit.net.tls.origin import OriginTls

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with certificates, an expired one among them, and another authority."""
    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["app.test", "127.0.0.1"], clients=["proxy"])
    make_certificates(folder / "other", ["app.test"], clients=["proxy"])
    ca = trustme.CA.from_pem((folder / CA_CERT).read_bytes(), (folder / CA_KEY).read_bytes())
    past = datetime.now(UTC) - timedelta(days=9)
    old = ca.issue_cert("app.test", not_before=past, not_after=past + timedelta(days=1))
    write(folder / "old.pem", b"".join(pem.bytes() for pem in old.cert_chain_pems))
    write(folder / "old.key", old.private_key_pem.bytes(), private=True)
    return folder


@pytest.fixture(autouse=True, params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs on all event loops."""
    if request.param == "asyncio":
        monkeypatch.setattr(loops, "new_event_loop", asyncio.new_event_loop)


def server(folder: Path, name: str = "app.test", clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients / CA_CERT)
    return context


@contextmanager
def to(
    backends: list[Scripted], *rules: OriginTls | None, protocol: str = "http/1.1", **options: Any
) -> Iterator[Proxy]:
    """A proxy before these backends, each with its rules."""
    with ExitStack() as stack:
        configs = [
            BackendConfig(
                f"127.0.0.1:{stack.enter_context(backend).port}", f"b{i}", protocol=protocol, tls=tls
            )
            for i, (backend, tls) in enumerate(zip(backends, rules, strict=True), 1)
        ]
        config = ProxyConfig(backends=configs, listen="127.0.0.1:0", **options)
        with Proxy(config=config) as proxy:
            yield proxy


def trusting(folder: Path, **fields: Any) -> OriginTls:
    return OriginTls(ca=str(folder / CA_CERT), **{"server_name": "app.test", **fields})


def test_a_request_reaches_a_backend_over_tls(lab: Path) -> None:
    with to([Scripted(echo, tls=server(lab))], trusting(lab)) as proxy:
        status, _, body = ask(proxy, b"GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        assert status == 200
        assert body.startswith(b"GET /x HTTP/1.1\r\nHost: shop.test\r\n")
        assert not proxy.faults.lines()


def test_connections_are_kept_as_plain_ones_are(lab: Path) -> None:
    backend = Scripted(answers(OK), tls=server(lab))
    with to([backend], trusting(lab)) as proxy:
        for _ in range(5):
            assert ask(proxy)[0] == 200
        assert backend.connections == 1


def test_the_name_of_the_address_is_verified_unless_another_is_given(lab: Path) -> None:
    with to([Scripted(answers(OK), tls=server(lab, "127.0.0.1"))], trusting(lab, server_name="")) as proxy:
        assert ask(proxy)[0] == 200


def test_a_backend_is_asked_for_the_server_name(lab: Path) -> None:
    names: list[str | None] = []
    context = server(lab)
    context.sni_callback = lambda sock, name, context: names.append(name)
    with to([Scripted(answers(OK), tls=context)], trusting(lab)) as proxy:
        assert ask(proxy)[0] == 200
    assert names == ["app.test"]


@pytest.mark.parametrize(
    ("context", "rules", "line"),
    [
        (
            lambda lab: server(lab / "other"),
            lambda lab: trusting(lab),
            "its certificate is from an authority that is not trusted: tls.ca must name the authority "
            "that issues it",
        ),
        (
            lambda lab: server(lab),
            lambda lab: trusting(lab, server_name="shop.test"),
            "its certificate has other names than 'shop.test': correct tls.server_name, or the certificate",
        ),
        (
            lambda lab: server(lab),
            lambda lab: trusting(lab, server_name=""),
            "its certificate does not have the address 127.0.0.1: set tls.server_name, or correct the "
            "certificate",
        ),
        (
            lambda lab: server(lab, "old"),
            lambda lab: trusting(lab),
            "its certificate has expired: renew it",
        ),
        (
            lambda lab: None,
            lambda lab: trusting(lab),
            "it does not speak TLS: remove tls, or correct the port",
        ),
    ],
    ids=["authority", "name", "address", "expired", "plain"],
)
def test_what_is_wrong_with_a_backend_is_said_once_and_another_serves(
    lab: Path,
    context: Callable[[Path], ssl.SSLContext | None],
    rules: Callable[[Path], OriginTls],
    line: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def hello(connection: Any) -> None:
        connection.send(b"220 hello\r\n")

    tls = context(lab)
    wrong = Scripted(answers(OK) if tls else hello, tls=tls)
    with to([wrong, Scripted(answers(OK), tls=server(lab))], rules(lab), trusting(lab)) as proxy:
        assert [ask(proxy)[0] for _ in range(4)] == [200] * 4
        failed = proxy.service.attempts.counts["retries"]
        assert failed >= 2
        assert proxy.faults.lines() == [f"backend b1: {line} ({failed} times)"]
    assert capfd.readouterr().err == f"lbkit proxy: backend b1: {line}\n"


def test_a_failed_handshake_counts_against_the_backend(lab: Path) -> None:
    wrong = Scripted(answers(OK), tls=server(lab / "other"))
    policy = Policy(health=HealthRules(max_fails=MaxFailsRules(max_fails=1, fail_timeout=60.0)))
    with to(
        [wrong, Scripted(answers(OK), tls=server(lab))], trusting(lab), trusting(lab), policy=policy
    ) as proxy:
        assert [ask(proxy)[0] for _ in range(6)] == [200] * 6
        assert wrong.connections == 1


def test_any_certificate_will_do_where_verification_is_switched_off_and_a_note_says_so(lab: Path) -> None:
    with to([Scripted(answers(OK), tls=server(lab / "other"))], OriginTls(verify=False)) as proxy:
        assert ask(proxy)[0] == 200
        assert any("backends[0].tls.verify is false" in line for line in notes(proxy.config, 1))


def test_a_backend_that_asks_for_a_certificate_gets_the_proxys(lab: Path) -> None:
    rules = trusting(lab, cert=str(lab / "proxy.pem"), key=str(lab / "proxy.key"))
    with to([Scripted(answers(OK), tls=server(lab, clients=lab))], rules) as proxy:
        assert ask(proxy)[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_that_is_missing_is_said(lab: Path, version: ssl.TLSVersion) -> None:
    context = server(lab, clients=lab)
    context.maximum_version = version
    with to([Scripted(answers(OK), tls=context)], trusting(lab)) as proxy:
        # With 1.3 the request is on its way already: the backend may reset before its alert is read.
        while not proxy.faults.lines():
            assert ask(proxy)[0] == 502
        assert "certificate" in "".join(proxy.faults.lines())


def test_http2_is_agreed_on_by_alpn(lab: Path) -> None:
    need_feature("http2")
    from h2_backend import h2_answers

    context = server(lab)
    context.set_alpn_protocols(["h2"])
    with to([Scripted(h2_answers(), tls=context)], trusting(lab), protocol="h2") as proxy:
        assert ask(proxy)[0] == 200
        assert not proxy.faults.lines()


def test_a_backend_that_does_not_agree_on_http2_is_named(lab: Path) -> None:
    need_feature("http2")
    with to([Scripted(answers(OK), tls=server(lab))], trusting(lab), protocol="h2") as proxy:
        assert ask(proxy)[0] == 502
        assert "backend b1: it does not agree on 'h2' (ALPN): correct protocol" in proxy.faults.lines()[0]


def test_a_body_passes_both_ways(lab: Path) -> None:
    size = 3_000_000
    with to([Scripted(echo, tls=server(lab))], trusting(lab)) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        status, _, body = client.answer()
        assert status == 200
        assert body.endswith(b"x" * size)


def test_a_websocket_passes(lab: Path) -> None:
    def switch(connection: Any) -> None:
        connection.head()
        connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        connection.send(connection.exactly(5).upper())

    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with to([Scripted(switch, tls=server(lab))], trusting(lab)) as proxy, Client(proxy) as client:
        client.send(upgrade)
        assert client.answer()[0] == 101
        client.send(b"hello")
        assert client.rest() == b"HELLO"


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_health_checks_verify_the_same(lab: Path, kind: str) -> None:
    policy = Policy(
        health=HealthRules(checks=CheckRules(probe=Probe(kind), interval=2.0, timeout=2.0, fall=1))
    )
    contexts = [server(lab), server(lab / "other")]
    backends = [Scripted(answers(OK), tls=context) for context in contexts]
    with to(backends, trusting(lab), trusting(lab), policy=policy) as proxy:
        watch = proxy.pool.pools[0].watch
        assert watch

        async def until_down() -> None:
            while proxy.pool.backends[1].healthy:
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(until_down(), 20.0))
        assert proxy.pool.backends[0].healthy


def test_files_that_cannot_be_used_are_named_with_their_field(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    wrong = {
        "ca": OriginTls(ca=str(tmp_path / "none.pem")),
        "key": trusting(lab, cert=str(lab / "proxy.pem"), key=str(lab / "app.test.key")),
        "cert": trusting(lab, cert=str(tmp_path / "empty.pem")),
    }
    config = ProxyConfig(
        backends=[BackendConfig(f"127.0.0.1:{9000 + i}", tls=tls) for i, tls in enumerate(wrong.values())],
        listen="127.0.0.1:1",
    )
    faults = start_faults(config)
    assert [fault.partition(" is ")[0] for fault in faults] == [
        f"backends[{i}].tls.{field}" for i, field in enumerate(wrong)
    ]
    with pytest.raises(ValueError, match=r"backends\[0\]\.tls\.ca"):
        Proxy(config=config)


def test_contradictions_are_refused() -> None:
    data = {
        "backends": [
            {"address": "127.0.0.1:1", "tls": {"ca": "ca.pem", "verify": False}},
            {"address": "127.0.0.1:2", "tls": {"key": "a.key"}},
            {"address": "127.0.0.1:3", "tls": {"server_name": "a b"}},
        ]
    }
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict(data)
    text = str(caught.value)
    assert "backends[2].tls.server_name is 'a b'" in text
    del data["backends"][2]
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict(data)
    assert "backends[0].tls.ca is set, but verify is false" in str(caught.value)
    assert "backends[1].tls.key is set, but cert is missing" in str(caught.value)
