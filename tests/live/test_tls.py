"""TLS and HTTP/2 between the load and its balancer: the proxy, and real programs with a lab's certificate."""

from __future__ import annotations

import pytest
from needs import need, need_feature

need_feature("live")
need_feature("http2")
need_feature("cert")

from collections.abc import Iterator

from lbkit import (
    Backend,
    Constant,
    EngineError,
    Experiment,
    Layer4,
    Poisson,
    RequestKind,
    Tls,
    Traffic,
    notes,
    render,
    run,
    servers,
)
from lbkit.clients.http1 import Http1, Secured, Target
from lbkit.clients.http2 import Http2
from lbkit.live import PEERS, LocalFleet
from lbkit.live.lab import Lab

pytestmark = pytest.mark.live

BASE = Experiment(
    servers(3, service=Constant(0.005)), Traffic(Poisson(40), duration=1.5, clients=3), tls=Tls(), seed=2
)
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}


@pytest.mark.parametrize("resumption", [True, False])
def test_a_new_connection_for_each_request_is_a_handshake_for_each(resumption: bool) -> None:
    result = run(BASE.but(reuse=False, tls=Tls(resumption=resumption)), "live")
    assert result.error_rate == 0
    assert result.handshakes == len(result)
    assert result.resumed is not None
    assert (0 < result.resumed < len(result)) if resumption else result.resumed == 0
    assert result.handshake_mean


@pytest.mark.parametrize("on", ["live", "nginx"])
def test_http2_clients_have_one_connection_each_and_use_all_servers(on: str) -> None:
    if on in PROGRAMS:
        need(PROGRAMS[on])
    result = run(BASE.but(http="2"), on)
    assert result.error_rate == 0
    assert result.handshakes == len(set(result.client))
    assert min(result.counts.values()) > 0


@pytest.fixture(scope="module")
def backend() -> Iterator[list[Backend]]:
    with LocalFleet(servers(1)) as fleet:
        yield fleet.backends()


@pytest.mark.parametrize("on", PROGRAMS)
@pytest.mark.parametrize("resumption", [True, False])
def test_a_program_ends_tls_for_both_protocols(on: str, resumption: bool, backend: list[Backend]) -> None:
    need(PROGRAMS[on])
    if on == "caddy" and not resumption:
        with pytest.raises(EngineError, match="caddy always resumes"):
            render(BASE.but(tls=Tls(resumption=False)), on)
        return
    experiment = BASE.but(http="2", servers=servers(1), tls=Tls(resumption=resumption))
    front, lab = PEERS[on](experiment), Lab()
    front.lab = lab
    try:
        front.start(backend)
        old, new = (
            Target("127.0.0.1", front.port, 10.0, Secured(lab.ca, True, name), reuse=False)
            for name in ("http/1.1", "h2")
        )
        assert {Http1(old, 1).request("GET", "/", {}, b"").status for _ in range(3)} == {200}
        assert old.secured
        assert old.secured.facts()["handshakes_resumed"] == (2 if resumption else 0)
        http2 = Http2(new)
        assert http2.request("GET", "/", {}, b"").status == 200
        http2.close()
        front.facts()  # the program's own page is still found
    finally:
        front.stop()
        lab.close()


def test_http2_needs_no_tls() -> None:
    kinds = (RequestKind("get"), RequestKind("post", method="POST", body="x" * 60_000))
    result = run(BASE.but(http="2", tls=None, mix=kinds), "live")
    assert result.error_rate == 0
    assert set(result.status) == {200}


def test_one_http2_client_pins_everything_at_layer_4_as_in_the_simulator() -> None:
    kinds = (RequestKind("get"), RequestKind("post", method="POST", body="x" * 60_000))
    one = BASE.but(http="2", tls=None, clients=1, layer4=Layer4("one"), mix=kinds)
    live, simulated = run(one, "live"), run(one)
    assert live.error_rate == 0
    assert live.counts == simulated.counts == {"s1": len(live), "s2": 0, "s3": 0}
    assert live.connections == simulated.connections == 1


def test_the_load_needs_http2_for_one_connection() -> None:
    with pytest.raises(EngineError, match=r"use traffic\.http='2'"):
        run(BASE.but(tls=None, layer4=Layer4("one")), "live")


def test_a_configuration_to_read_names_the_files() -> None:
    for on in PROGRAMS:
        assert "lab" in render(BASE.but(http="2"), on)
        assert notes(BASE, on)
