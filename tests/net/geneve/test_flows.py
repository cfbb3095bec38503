"""Which appliance a flow gets, in virtual time: both ways, through failures, drains and silence."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import Backend, Intent, NoBackend, Pool, aws
from lbkit.net.geneve import FlowTable, Packet, read_packet, tcp_packet, udp_packet

A, B = ("10.0.0.1", 40_000), ("10.0.1.1", 80)


def pool(count: int = 4, **policy: object) -> Pool:
    members = [Backend(f"a{i}") for i in range(count)]
    made = aws.gwlb_policy(checks=None, **policy).pool(members, lambda name: random.Random(1))  # type: ignore[arg-type]
    assert isinstance(made, Pool)
    return made


def packet(port: int, back: bool = False, make=tcp_packet) -> Packet:
    one, other = ("10.0.0.1", port), B
    return read_packet(make(other, one) if back else make(one, other))


def where(table: FlowTable, port: int, now: float, back: bool = False) -> str:
    return table.flow(packet(port, back), now).appliance.name


@given(
    seen=st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=100),
    fields=st.sampled_from([5, 3, 2]),
)
def test_a_flow_has_one_appliance_both_ways(seen: list[tuple[int, bool]], fields: int) -> None:
    table, first = FlowTable(pool(), fields), {}
    for i, (port, back) in enumerate(seen):
        name = where(table, port, float(i), back)
        assert first.setdefault(port if fields == 5 else 0, name) == name
    assert len(table) == len(first)
    assert sum(b.in_flight for b in table.pool.backends) == len(first)


def test_new_flows_are_spread() -> None:
    table = FlowTable(pool())
    assert {where(table, port, 0.0) for port in range(1, 100)} == {"a0", "a1", "a2", "a3"}


@pytest.mark.parametrize("rebalance", [False, True])
def test_when_an_appliance_fails_its_flows_stay_or_move(rebalance: bool) -> None:
    table = FlowTable(pool(), rebalance=rebalance)
    before = {port: where(table, port, 0.0) for port in range(1, 200)}
    table.pool.set_health("a1", False)
    after = {port: where(table, port, 1.0, back=True) for port in before}
    moved = {port for port in before if before[port] != after[port]}
    hit = {port for port in before if before[port] == "a1"}
    assert moved == (hit if rebalance else set())  # all other flows stay where they are
    assert table.rehashed == len(moved)
    assert "a1" not in {where(table, port, 1.0) for port in range(1000, 1100)}  # new flows
    table.pool.set_health("a1", True)
    assert {port: where(table, port, 2.0) for port in before} == after  # and nothing moves back


def test_a_drained_appliance_keeps_its_flows_until_the_delay_is_over() -> None:
    table = FlowTable(pool(deregistration_delay=60), rebalance=True)
    before = {port: where(table, port, 0.0) for port in range(1, 100)}
    table.pool.set_intent("a1", Intent.DRAIN, 0.0)
    assert {port: where(table, port, 30.0) for port in before} == before
    table.expire(61.0)
    after = {port: where(table, port, 61.0) for port in before}
    assert "a1" not in after.values()
    assert {port for port in before if before[port] != after[port]} == {
        p for p in before if before[p] == "a1"
    }


@pytest.mark.parametrize(("make", "idle"), [(tcp_packet, 350), (udp_packet, 120)])
def test_silent_flows_are_forgotten(make, idle: float) -> None:
    table = FlowTable(pool())
    first = table.flow(packet(1, make=make), 0.0)
    assert table.flow(packet(1, make=make), idle - 1) is first
    table.expire(2 * idle - 2)
    assert len(table) == 1
    table.expire(2 * idle)
    assert len(table) == 0
    assert table.by_cookie(first.cookie) is None
    second = table.flow(packet(1, make=make), 2 * idle)
    late = table.flow(packet(1, make=make), 4 * idle)  # also without a sweep in between
    assert len({first.cookie, second.cookie, late.cookie}) == 3
    assert sum(b.in_flight for b in table.pool.backends) == 1


def test_the_table_is_bounded() -> None:
    table = FlowTable(pool(), size=2)
    for port in (1, 2, 1, 3):
        table.flow(packet(port), 0.0)
    cookie = table.flow(packet(1), 0.0).cookie
    assert (len(table), cookie) == (2, 1)  # the flow of port 2 was silent longest


def test_when_all_fail_their_checks_all_get_flows() -> None:
    table = FlowTable(pool(2), rebalance=True)
    where(table, 1, 0.0)
    for name in ("a0", "a1"):
        table.pool.set_health(name, False)
    assert where(table, 1, 1.0) == where(table, 1, 2.0)
    assert table.rehashed == 0


def test_without_any_appliance_a_flow_ends() -> None:
    table = FlowTable(pool(1), rebalance=True)
    where(table, 1, 0.0)
    table.pool.set_intent("a0", Intent.OUT, 1.0)
    with pytest.raises(NoBackend):
        where(table, 1, 2.0)
    assert len(table) == 0


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="fields is 4: use 5, 3 or 2"):
        FlowTable(pool(), 4)
    with pytest.raises(ValueError, match="size is 0"):
        FlowTable(pool(), size=0)
