from __future__ import annotations

from contextlib import nullcontext
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Intent, Lease, NoBackend, Pool, make_balancer
from lbkit.core.drain import TRANSITIONS, Drain, DrainEvent, DrainRules, DrainState
from lbkit.core.state_change import StateChange
from lbkit.core.sticky import Affinity, Sticky

READY, DRAINING, DRAINED, STOPPED = DrainState


def test_the_four_steps() -> None:
    drain = Drain(DrainRules(timeout=30))
    assert drain.on(DrainEvent.DRAIN, 5)
    assert (drain.state, drain.deadline) == (DRAINING, 35)
    assert drain.on(DrainEvent.IDLE, 9)
    assert (drain.state, drain.deadline) == (DRAINED, inf)
    assert drain.on(DrainEvent.STOP, 10)
    assert drain.on(DrainEvent.START, 11)
    assert drain.state is READY


def test_an_undrained_backend_is_ready_at_once() -> None:
    drain = Drain(DrainRules())
    drain.on(DrainEvent.DRAIN, 0)
    assert drain.on(DrainEvent.UNDRAIN, 1)
    assert (drain.state, drain.deadline) == (READY, inf)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(DrainState)
    assert {before for before, _ in TRANSITIONS} == set(DrainState)


@given(st.lists(st.sampled_from(DrainEvent)))
def test_an_event_that_does_not_apply_changes_nothing(events: list[DrainEvent]) -> None:
    drain = Drain(DrainRules())
    for i, event in enumerate(events):
        before = drain.state
        changed = drain.on(event, i)
        assert changed == ((before, event) in TRANSITIONS)
        assert drain.state is TRANSITIONS.get((before, event), before)
        assert (drain.deadline < inf) == (drain.state is DRAINING)
    for event in (DrainEvent.STOP, DrainEvent.START):  # no state is a trap
        drain.on(event, 99)
    assert drain.state is READY


def test_a_timeout_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="timeout is 0"):
        DrainRules(timeout=0)


# -- in a pool -------------------------------------------------------------------------------------


def draining_pool(rules: DrainRules | None = None) -> tuple[Pool, list[StateChange]]:
    changes: list[StateChange] = []
    backends = [Backend("a"), Backend("b")]
    return Pool(backends, make_balancer("round_robin"), drain=rules, on_change=changes.append), changes


def steps(changes: list[StateChange]) -> list[tuple[float, str, str]]:
    assert all(change.kind == "drain" for change in changes)
    return [(change.at, change.backend, change.after) for change in changes]


def test_a_backend_is_drained_when_its_last_request_has_ended() -> None:
    pool, changes = draining_pool()
    leases = [pool.acquire("", 0) for _ in range(4)]
    pool.set_intent("a", Intent.DRAIN, 1)
    assert {pool.pick("", 1).name for _ in range(4)} == {"b"}
    mine = [lease for lease in leases if lease.backend.name == "a"]
    mine[0].release(True, 2)
    assert pool.drains.state("a") is DRAINING
    mine[1].release(True, 3)
    assert steps(changes) == [(1, "a", "draining"), (3, "a", "drained")]
    pool.set_intent("a", Intent.OUT, 4)
    pool.set_intent("a", Intent.READY, 5)
    assert steps(changes)[2:] == [(4, "a", "stopped"), (5, "a", "ready")]


def test_a_backend_without_requests_is_drained_at_once() -> None:
    pool, changes = draining_pool()
    pool.set_intent("a", Intent.DRAIN, 1)
    assert steps(changes) == [(1, "a", "draining"), (1, "a", "drained")]


def test_a_drain_that_would_never_end_does_at_its_deadline() -> None:
    pool, changes = draining_pool(DrainRules(timeout=30))
    kept = next(lease for lease in (pool.acquire("", 0), pool.acquire("", 0)) if lease.backend.name == "a")
    pool.set_intent("a", Intent.DRAIN, 5)
    assert pool.drains.wake == 35
    assert pool.drains.advance(34.9) == []
    assert pool.drains.advance(35) == [kept.backend]
    assert changes[-1] == StateChange(35, "a", "drain", "draining", "drained", "time is over")
    assert pool.drains.wake == inf
    kept.release(False, 35)  # as the engine cuts it off
    assert len(changes) == 2
    without, _ = draining_pool()
    without.pick("", 0)
    without.set_intent("a", Intent.DRAIN, 5)
    assert without.drains.advance(1e9) == []  # without rules it may take for ever


def test_sessions_stay_until_the_deadline_if_allowed() -> None:
    for sessions in (True, False):
        rules = Sticky("source", drain=sessions)
        made = Affinity(rules, b"x" * 16)
        pool = Pool([Backend("a")], make_balancer("round_robin"), drain=DrainRules(timeout=30), affinity=made)
        lease = pool.acquire("", 0, token="client")
        pool.keep(lease.backend, "client", 0)
        lease.release(True, 0)
        pool.set_intent("a", Intent.DRAIN, 0)
        assert pool.drains.state("a") is (DRAINING if sessions else DRAINED)
        with nullcontext() if sessions else pytest.raises(NoBackend):
            pool.acquire("", 1, token="client").release(True, 2)
        with pytest.raises(NoBackend):
            pool.acquire("", 1, token="another")
        pool.drains.advance(30)
        assert pool.drains.state("a") is DRAINED
        with pytest.raises(NoBackend):
            pool.acquire("", 31, token="client")


def test_a_backend_that_left_and_joins_again_does_not_drain() -> None:
    pool, _ = draining_pool()
    pool.acquire("", 0), pool.acquire("", 0)
    pool.set_intent("a", Intent.DRAIN, 1)
    pool.remove("a")
    assert (pool.drains.wake, pool.drains.draining) == (inf, set())
    pool.add(Backend("a"))
    assert pool.drains.state("a") is READY


pool_events = st.one_of(
    st.tuples(st.just("pick"), st.just("")),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.sampled_from(Intent), st.sampled_from("abc")),
)


@given(st.lists(pool_events, max_size=60))
def test_whatever_happens_a_drained_backend_has_no_request(
    events: list[tuple[str | Intent, str | int]],
) -> None:
    changes: list[StateChange] = []
    backends = [Backend(name) for name in "abc"]
    rules = DrainRules(timeout=7)
    pool = Pool(backends, make_balancer("round_robin"), drain=rules, on_change=changes.append)
    live: list[Lease] = []
    for now, (what, which) in enumerate(events):
        for late in pool.drains.advance(now):  # as an engine does
            for lease in [lease for lease in live if lease.backend is late]:
                live.remove(lease)
                lease.release(None, now)
        if what == "pick":
            if pool.eligible:
                live.append(pool.acquire("", now))
        elif what == "end":
            if live:
                live.pop(int(which) % len(live)).release(True, now)
        else:
            assert isinstance(what, Intent)
            pool.set_intent(str(which), what, now)
        for backend in backends:
            state = pool.drains.state(backend.name)
            assert backend.in_flight == sum(lease.backend is backend for lease in live)
            assert (state is READY) == (backend.intent is Intent.READY) == (backend in pool.eligible)
            if state is DRAINED:
                assert backend.in_flight == 0
            if state is DRAINING:
                assert backend.in_flight
                assert now < pool.drains.wake <= now + 7
    for name in "abc":  # each change begins where the one before it ended
        mine = [change for change in changes if change.backend == name]
        chain = ["ready", *(change.after for change in mine)]
        assert [change.before for change in mine] == chain[:-1]
