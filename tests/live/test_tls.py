"""TLS and HTTP/2 between the load and its balancer: the proxy, and real programs with a lab's certificate."""

from __future__ import annotations

import pytest
from needs import need, need_feature

need_feature("live")
need_feature("http2")
need_feature("cert")

from lbkit import (
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

pytestmark = pytest.mark.live

BASE = Experiment(
    servers(3, service=Constant(0.005)), Traffic(Poisson(40), duration=1.5, clients=3), tls=Tls(), seed=2
)
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}


@pytest.mark.parametrize("on", ["live", *PROGRAMS])
def test_new_connections_resume_the_session(on: str) -> None:
    if on in PROGRAMS:
        need(PROGRAMS[on])
    result = run(BASE.but(reuse=False), on)
    assert result.error_rate == 0
    assert result.handshakes == len(result)
    assert result.resumed is not None
    assert 0 < result.resumed < len(result)
    assert result.handshake_mean


@pytest.mark.parametrize("on", ["live", "nginx", "haproxy", "apache"])
def test_without_resumption_every_handshake_is_a_full_one(on: str) -> None:
    if on in PROGRAMS:
        need(PROGRAMS[on])
    result = run(BASE.but(reuse=False, tls=Tls(resumption=False)), on)
    assert result.error_rate == 0
    assert (result.handshakes, result.resumed) == (len(result), 0)


@pytest.mark.parametrize("on", ["live", *PROGRAMS])
def test_http2_clients_have_one_connection_each_and_use_all_servers(on: str) -> None:
    if on in PROGRAMS:
        need(PROGRAMS[on])
    result = run(BASE.but(http="2"), on)
    assert result.error_rate == 0
    assert result.handshakes == len(set(result.client))
    assert min(result.counts.values()) > 0


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


def test_caddy_always_resumes() -> None:
    with pytest.raises(EngineError, match="caddy always resumes"):
        render(BASE.but(tls=Tls(resumption=False)), "caddy")
