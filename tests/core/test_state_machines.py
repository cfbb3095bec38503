"""Laws of all state machines together: no state is unreachable, none is a trap, and counts never go wrong.

Each machine's own rules are tested beside it; here they meet in one pool, with draining, and retries."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core import Backend, Intent, Lease, NoBackend, Pool, make_balancer
from lbkit.core.attempts import AttemptPolicy, Attempts, Failure, GiveUp
from lbkit.core.drain import TRANSITIONS as DRAINS
from lbkit.core.drain import DrainRules, DrainState
from lbkit.core.health import (
    BreakerRules,
    BreakerState,
    CheckRules,
    CheckState,
    HealthRules,
    MaxFailsRules,
    OutlierRules,
)
from lbkit.core.health.breaker import TRANSITIONS as BREAKERS
from lbkit.core.health.checks import TRANSITIONS as CHECKS
from lbkit.core.health.max_fails import MaxFails
from lbkit.core.health.outliers import EJECTED, IN
from lbkit.core.retry import Backoff, Hedge, Retry, RetryBudgetRules
from lbkit.core.state_change import StateChange

NAMES = ("a", "b", "c")

# -- the tables --------------------------------------------------------------------------------------

Graph = Mapping[object, set[object]]


def graph(edges: list[tuple[object, object]], states: list[object]) -> Graph:
    return {state: {after for before, after in edges if before is state} for state in states}


MACHINES = {
    "drain": (DrainState.READY, graph([(b, a) for (b, _), a in DRAINS.items()], list(DrainState))),
    "breaker": (BreakerState.CLOSED, graph([(b, a) for (b, _), a in BREAKERS.items()], list(BreakerState))),
    "check": (
        CheckState.UP,
        graph([(b, a) for (b, _), both in CHECKS.items() for a in both], list(CheckState)),
    ),
}


def reachable(machine: Graph, start: object) -> set[object]:
    found, todo = {start}, [start]
    while todo:
        for state in machine[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_can_be_reached_from_service_and_leads_back_to_it(name: str) -> None:
    start, machine = MACHINES[name]
    assert reachable(machine, start) == set(machine)
    for state in machine:
        assert start in reachable(machine, state)


# -- max_fails, which has no table ----------------------------------------------------------------------


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(["fail", "succeed", "wait"]), st.floats(0, 12)), max_size=40),
)
def test_max_fails_takes_out_only_for_enough_failures_and_always_gives_back(
    most: int, steps: list[tuple[str, float]]
) -> None:
    fails, now, row, last = MaxFails(MaxFailsRules(most, fail_timeout=10)), 0.0, 0, 0.0
    for what, seconds in steps:
        now += 0.001
        was_out = fails.until is not None
        if what == "fail":
            took_out = fails.failed(now)
            row, last = row + 1, now
            assert not (took_out and was_out)
            assert not took_out or row >= most
        elif what == "succeed":
            fails.succeeded(now)
            row = 0 if now - last > 10 and not was_out else row
        else:
            now += seconds
        if fails.until is not None:
            assert fails.until <= now + 10
            if now >= fails.until:
                fails.back()
        assert fails._fails >= 0
    fails.back()
    fails.succeeded(now + 11)
    assert fails.failed(now + 12) == (most == 1)  # nothing is held against it any more


# -- all of them in one pool ----------------------------------------------------------------------------

RULES = st.builds(
    HealthRules,
    checks=st.none() | st.builds(CheckRules, rise=st.integers(1, 3), fall=st.integers(1, 3)),
    outliers=st.none() | st.builds(OutlierRules, consecutive=st.integers(1, 3), max_ejected=st.floats(0, 1)),
    max_fails=st.none() | st.builds(MaxFailsRules, max_fails=st.integers(1, 3)),
    breaker=st.none() | st.builds(BreakerRules, consecutive=st.integers(1, 3), probes=st.integers(1, 2)),
    max_in_flight=st.none() | st.integers(1, 3),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(0, 5), st.none()),
        st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from([True, False, None])),
        st.tuples(st.just("probe"), st.sampled_from(NAMES), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0.01, 20), st.none()),
        st.tuples(st.just("intent"), st.sampled_from(NAMES), st.sampled_from(Intent)),
        st.tuples(st.just("remove"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("add"), st.sampled_from(NAMES), st.none()),
    ),
    max_size=80,
)
Steps = list[tuple[str, object, object]]


class World:
    """A pool with all its machines, and the requests that run."""

    def __init__(self, health: HealthRules, timeout: float = 7.0) -> None:
        self.changes: list[StateChange] = []
        self.health = health
        self.pool = Pool(
            [Backend(name) for name in NAMES],
            make_balancer("round_robin"),
            health=health,
            drain=DrainRules(timeout=timeout),
            on_change=self.changes.append,
        )
        self.now = 0.0
        self.running: list[Lease] = []

    def step(self, what: str, which: object, value: object) -> None:
        self.now += 0.001
        self.cut()
        pool = self.pool
        if what == "start":
            try:
                self.running.append(pool.acquire("", self.now))
            except NoBackend:
                assert not pool.eligible
        elif what == "end" and self.running:
            lease = self.running.pop(int(which) % len(self.running))  # type: ignore[call-overload]
            lease.release(value, self.now)  # type: ignore[arg-type]
        elif what == "probe" and pool.watch:
            pool.watch.probed(str(which), bool(value), self.now)
        elif what == "wait":
            self.now += float(which)  # type: ignore[arg-type]
            self.cut()
        elif what == "intent" and which in pool:
            pool.set_intent(str(which), Intent(value), self.now)
        elif what == "remove" and which in pool:
            pool.remove(str(which))
        elif what == "add" and which not in pool:
            pool.add(Backend(str(which)))
        self.check()

    def cut(self) -> None:
        """End what runs on a backend that has drained for too long, as an engine does."""
        for late in self.pool.drains.advance(self.now):
            for lease in [lease for lease in self.running if lease.backend is late]:
                self.running.remove(lease)
                lease.release(None, self.now)

    def check(self) -> None:
        pool = self.pool
        for backend in pool.backends:
            state = pool.drains.state(backend.name)
            assert backend.in_flight == sum(lease.backend is backend for lease in self.running) >= 0
            assert (backend in pool.eligible) == backend.eligible
            assert (state is DrainState.READY) == (backend.intent is Intent.READY)
            if state is DrainState.DRAINED:
                assert backend.in_flight == 0
            assert backend.healthy == (not pool._out[backend])
            most = self.health.max_in_flight
            full = most is not None and backend.in_flight >= most
            assert backend.blocked >= full
            if self.health.breaker is None:
                assert backend.blocked == full
        if pool.watch:
            for record in pool.watch._records.values():
                if breaker := record.breaker:
                    assert breaker._running >= 0
                    assert 0 <= breaker._outcomes.failed <= breaker._outcomes.all
                if fails := record.fails:
                    assert fails._fails >= 0

    def heal(self) -> None:
        """End all requests, bring all backends back, and let time pass while checks and requests pass."""
        while self.running:
            self.running.pop().release(True, self.now)
        for name in NAMES:
            self.step("add", name, None)
            self.pool.set_intent(name, Intent.READY, self.now)
        for _ in range(8):
            self.now += 400
            for name in NAMES:
                self.step("probe", name, True)
            for _ in NAMES:
                self.step("start", 0, None)
                self.step("end", 0, True)


@settings(max_examples=200, deadline=None)
@given(RULES, STEPS)
def test_whatever_happens_counts_hold_a_drained_backend_is_idle_and_no_state_is_a_trap(
    health: HealthRules, steps: Steps
) -> None:
    world = World(health)
    for step in steps:
        world.step(*step)
    world.heal()
    assert {backend.name for backend in world.pool.eligible} == set(NAMES)
    for change in world.changes:
        assert change.before != change.after
    assert [change.at for change in world.changes] == sorted(change.at for change in world.changes)


def test_an_ejection_that_has_run_out_is_reported_before_a_drain() -> None:
    world = World(HealthRules(outliers=OutlierRules(consecutive=1)))
    for step in (("start", 0, None), ("end", 0, False), ("wait", 31.0, None), ("intent", "a", Intent.DRAIN)):
        world.step(*step)
    assert [change.kind for change in world.changes] == ["outlier", "outlier", "drain", "drain"]


def test_requests_of_a_backend_that_left_say_nothing_about_another_of_its_name() -> None:
    for ok in (True, False):
        world = World(HealthRules(max_in_flight=1, max_fails=MaxFailsRules()))
        world.step("remove", "b", None)
        world.step("remove", "c", None)
        world.step("start", 0, None)  # on the first a
        world.step("remove", "a", None)
        world.step("add", "a", None)
        world.step("start", 0, None)
        world.step("end", 0, ok)  # on the first a: the second is as full and as healthy as before
        assert world.pool["a"].blocked
        assert world.pool["a"].healthy


def test_random_events_reach_every_state_of_every_machine() -> None:
    health = HealthRules(
        checks=CheckRules(rise=2, fall=2),
        outliers=OutlierRules(consecutive=2, max_ejected=1),
        max_fails=MaxFailsRules(max_fails=2),
        breaker=BreakerRules(consecutive=3, probes=2),
        max_in_flight=3,
    )
    world, rng = World(health), random.Random(1)
    for _ in range(5000):
        what = rng.choices(["start", "end", "probe", "wait", "intent"], [9, 9, 3, 1, 1])[0]
        name, number = rng.choice(NAMES), rng.randrange(6)
        step = {
            "start": (number, None),
            "end": (number, rng.choice([True, False, False, None])),
            "probe": (name, rng.random() < 0.5),
            "wait": (20 * rng.random(), None),
            "intent": (name, rng.choice(list(Intent))),
        }[what]
        world.step(what, *step)
    reached: dict[str, set[str]] = {}
    for change in world.changes:
        reached.setdefault(change.kind, set()).add(change.after)
    assert reached == {
        "check": {state.label for state in CheckState},
        "breaker": {state.value for state in BreakerState},
        "drain": {state.value for state in DrainState},
        "outlier": {EJECTED, IN},
        "max_fails": {"in", "out"},
    }


# -- attempts --------------------------------------------------------------------------------------------


@given(
    st.integers(0, 3),
    st.none() | st.builds(RetryBudgetRules, st.floats(0, 1), minimum=st.floats(0, 2)),
    st.none() | st.builds(Hedge, st.floats(0.1, 1), st.integers(1, 3)),
    st.lists(
        st.tuples(
            st.sampled_from(["request", "fail", "hedge", "wait"]),
            st.sampled_from(Failure),
            st.booleans(),
        ),
        max_size=60,
    ),
)
def test_counts_of_attempts_only_grow_and_each_is_an_event(
    retries: int,
    budget: RetryBudgetRules | None,
    hedge: Hedge | None,
    steps: list[tuple[str, Failure, bool]],
) -> None:
    policy = AttemptPolicy(retries, Retry(backoff=Backoff(), budget=budget, hedge=hedge), random.Random(1))
    policy.keep = 1000
    backends, now = [Backend(name) for name in "abcdefgh"], 0.0
    attempts, sent = Attempts(policy, True), 0
    over = False
    for what, failure, kept in steps:
        now += 0.01
        before = dict(policy.counts)
        if what == "request" or over:
            policy.began(now)
            attempts, sent, over = Attempts(policy, True), 0, False
        elif what == "fail":
            step = attempts.after(failure, backends[len(attempts.tried)], kept, now)
            over = isinstance(step, GiveUp)
            assert len(attempts.tried) <= retries + 1
        elif what == "hedge":
            sent += policy.may_hedge(sent, now, backends[0])
            assert sent <= (hedge.max_copies if hedge else 0)
        else:
            now += 5
        assert all(policy.counts[name] >= count for name, count in before.items())
    assert len(policy.events) == sum(policy.counts.values())
