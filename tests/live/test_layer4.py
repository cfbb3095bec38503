"""Layer 4 on real sockets: lbkit's TCP proxy, nginx and HAProxy, next to the simulator."""

from __future__ import annotations

import tomllib

import pytest
from needs import need

from lbkit import (
    Closed,
    ConstantRate,
    DrainRules,
    EngineError,
    Event,
    Experiment,
    Layer4,
    Policy,
    Retry,
    Traffic,
    render,
    run,
    servers,
)
from lbkit.live import LiveSession
from lbkit.live.peers.errors import PeerError
from lbkit.net.modes import config_of
from lbkit.result import Result

pytestmark = pytest.mark.live

SMALL = Experiment(servers(3, workers=8), Traffic(ConstantRate(40), duration=2, clients=60))
NAMED = Layer4("client", proxy_protocol=True)


def used(result: Result) -> int:
    """How many servers got requests."""
    assert result.error_rate == 0, result.faults
    return sum(count > 0 for count in result.counts.values())


def ran(experiment: Experiment, on: str) -> Result:
    if on in ("nginx", "haproxy"):
        need(on)
    try:
        return run(experiment, on=on)
    except PeerError as error:
        if "stream module" in str(error):
            pytest.skip(str(error))
        raise


def test_one_client_with_keep_alive_is_pinned_at_layer_4_and_spread_at_layer_7() -> None:
    alone = SMALL.but(arrivals=Closed(1, think=0.03), clients=1)
    pinned, spread = run(alone.but(layer4=Layer4("client")), on="live"), run(alone, on="live")
    assert (used(pinned), pinned.connections) == (1, 1)
    assert used(spread) == 3
    assert "layer 4" in pinned.notes[0]


@pytest.mark.parametrize("on", ["live", "nginx", "haproxy"])
def test_without_a_proxy_header_ip_hash_sees_one_client(on: str) -> None:
    hashed = SMALL.but(policy="ip_hash")
    assert used(ran(hashed.but(layer4=Layer4("client")), on)) == 1
    assert used(ran(hashed.but(layer4=NAMED), on)) == 3


def test_hashing_by_the_announced_client_is_the_same_on_sim_and_live() -> None:
    hashed = SMALL.but(policy="ip_hash", layer4=NAMED)
    assert run(hashed, on="live").counts == run(hashed).counts == run(hashed.but(layer4=None)).counts


def test_a_connection_for_each_request_is_balanced_as_requests_are() -> None:
    result = run(SMALL.but(layer4=Layer4("request")), on="live")
    assert max(result.counts.values()) - min(result.counts.values()) <= 1
    assert result.connections == len(result)


def test_events_reach_the_tcp_proxy() -> None:
    """A drain with a timeout cuts the connections that clients keep; a crash is met by the next server."""
    experiment = SMALL.but(
        layer4=Layer4("client"),
        clients=6,
        duration=3,
        policy=Policy("round_robin", drain=DrainRules(timeout=0.3)),
        events=(Event(1.0, "drain", "s1"), Event(2.0, "undrain", "s1"), Event(2.2, "crash", "s2")),
    )
    result = run(experiment, on="live")
    assert not result.faults
    rows = list(zip(result.arrival, result.backend, result.status, strict=True))
    assert not any(backend == 0 for at, backend, _ in rows if 1.6 < at < 1.95)
    assert not any(backend == 1 for at, backend, _ in rows if at > 2.6)
    assert any(change.backend == "s1" and change.after == "drained" for change in result.changes)


def test_a_policy_can_be_switched_and_the_configuration_is_one_of_lbkit_proxy() -> None:
    with LiveSession(SMALL.but(layer4=NAMED, duration=1.5)) as session:
        session.switch("ip_hash")
        session.wait()
        result = session.result()
    assert result.error_rate == 0
    config = config_of(tomllib.loads(result.extra["config"]))
    assert config.mode == "tcp"
    assert config.tcp.accept_proxy == ("127.0.0.0/8",)
    assert [backend.workers for backend in config.backends] == [server.workers for server in SMALL.servers]


def test_what_cannot_be_is_said_before_anything_starts() -> None:
    with pytest.raises(EngineError, match=r"use traffic\.http='2'"):
        run(SMALL.but(layer4=Layer4("one")), on="live")
    with pytest.raises(EngineError, match=r"policy\.retry: layer 4 sees no requests"):
        run(SMALL.but(layer4=Layer4(), policy=Policy(retry=Retry())), on="live")


def test_programs_are_told_to_read_the_header() -> None:
    hashed = SMALL.but(policy="ip_hash", layer4=NAMED)
    assert " proxy_protocol;" in render(hashed, "nginx")
    assert "$proxy_protocol_addr" in render(hashed, "nginx")
    assert " accept-proxy" in render(hashed, "haproxy")
    assert " accept-proxy" not in render(hashed.but(layer4=Layer4()), "haproxy")
