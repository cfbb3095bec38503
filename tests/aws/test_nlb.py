"""NLB and GWLB as experiments, and an NLB on real sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import evolve
from datagrams import client, server

from lbkit import Event, HealthRules, Server, aws, run, servers
from lbkit.net.config import Layer4Config
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.l4.udp import UdpProxy
from lbkit.net.layer4 import layer4_proxy

UNEVEN = [Server("x1", zone="x"), *(Server(f"y{i}", zone="y") for i in range(4))]


def test_the_defaults_are_those_of_the_manual() -> None:
    nlb, gwlb = aws.nlb_policy(), aws.gwlb_policy()
    for policy, (interval, timeout, port, start) in (
        (nlb, (30, 10, None, "down")),
        (gwlb, (10, 5, 80, "fully-up")),
    ):
        checks = policy.health and policy.health.checks
        assert checks
        assert (checks.interval, checks.timeout, checks.probe.port, checks.start) == (
            interval,
            timeout,
            port,
            start,
        )
        assert (checks.rise, checks.fall, checks.probe.kind) == (5, 2, "tcp")
        assert policy.drain
        assert policy.drain.timeout == 300
        assert policy.options["across"] is False
    assert (nlb.key, aws.nlb_policy(source_ip=True).key) == ("flow", "client")
    assert [aws.gwlb_policy(stickiness=n).key for n in (5, 3, 2)] == ["flow", "client", "client"]
    assert aws.nlb_settings(["127.0.0.1:1"])["tcp"] == {"idle": 350}
    assert aws.nlb_settings(["127.0.0.1:1"], "udp")["udp"] == {"idle": 120}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"protocol": "quic"}, "protocol is 'quic': use tcp or udp"), ({"idle": 30}, "idle is 30")],
)
def test_wrong_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aws.nlb_settings(["127.0.0.1:1"], **change)


@pytest.mark.parametrize("balancer", [aws.nlb, aws.gwlb])
def test_a_connection_keeps_its_target(balancer: Any) -> None:
    result = run(balancer(servers(4)).but(clients=30, duration=20))
    assert result.error_rate == 0
    pinned = run(balancer(servers(4), connections="one").but(clients=1, duration=5))
    assert sorted(pinned.counts.values())[:3] == [0, 0, 0]


def test_zones_keep_their_share_unless_flows_cross() -> None:
    off, on = (
        run(aws.nlb(UNEVEN, aws.nlb_policy(cross_zone=cross), "request").at_load(0.3).but(duration=100))
        for cross in (False, True)
    )
    assert off.shares["x1"] == pytest.approx(0.5, abs=0.03)
    assert on.shares["x1"] == pytest.approx(0.2, abs=0.03)


def test_the_flows_of_a_dead_zone_go_to_the_others() -> None:
    died = [Event(20, "crash", "x1")]
    result = run(aws.nlb(UNEVEN, connections="request").at_load(0.3).but(events=died, duration=300))
    late = [i for i, at in enumerate(result.arrival) if at > 150]
    assert {result.status[i] for i in late} == {200}
    assert {result.backend[i] for i in late} == {1, 2, 3, 4}


def _no_checks(settings: dict[str, Any]) -> Layer4Config:
    config = Layer4Config.from_dict({**settings, "listen": "127.0.0.1:0"})
    return evolve(config, policy=evolve(config.policy, health=None))


def test_udp_flows_on_real_sockets_keep_their_target() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(server(str(i))) for i in range(4)]
        zones = "aabb"
        targets = [f"127.0.0.1:{port}@{zone}" for port, zone in zip(ports, zones, strict=True)]
        proxy = layer4_proxy(_no_checks(aws.nlb_settings(targets, "udp")))
        assert isinstance(proxy, UdpProxy)
        stack.enter_context(proxy)
        seen = []
        for _ in range(40):
            sock = stack.enter_context(client())
            names = []
            for _ in range(3):
                sock.sendto(b"?", ("127.0.0.1", proxy.port))
                names.append(sock.recv(100)[:1])
            assert len(set(names)) == 1
            seen.append(names[0])
        assert set(seen) == {b"0", b"1", b"2", b"3"}


def test_tcp_on_real_sockets_fails_open() -> None:
    """The checks probe a port at which nobody listens: all targets are unhealthy, and all get traffic."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))  # bound, so that it stays free, and not listening
        policy = aws.nlb_policy()
        checks = policy.health and policy.health.checks
        assert checks
        dead = evolve_checks(checks, closed.getsockname()[1])
        policy = evolve(policy, health=HealthRules(checks=dead))
        settings = aws.nlb_settings([f"127.0.0.1:{listening.getsockname()[1]}"], policy=policy)
        proxy = layer4_proxy(Layer4Config.from_dict({**settings, "listen": "127.0.0.1:0"}))
        assert isinstance(proxy, TcpProxy)
        stack.enter_context(proxy)
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as sock:
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(b"hello")
                assert sock.recv(5) == b"hello"
        assert not proxy.call(lambda: proxy.pool.pools[0].backends[0].healthy)  # type: ignore[union-attr]


def evolve_checks(checks: Any, port: int) -> Any:
    from dataclasses import replace

    return replace(checks, probe=replace(checks.probe, port=port))
