"""Requests at servers that crash, and laws that hold for every request of every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import possible

from lbkit import (
    Admission,
    Backend,
    Closed,
    Constant,
    Event,
    Experiment,
    Exponential,
    Failures,
    Poisson,
    Policy,
    RateLimit,
    Result,
    Server,
    Trace,
    Traffic,
    algorithms,
    run,
    servers,
)
from lbkit.core import Pool
from lbkit.core.attempts import Again, Attempts, Failure, GiveUp
from lbkit.server import DISCIPLINES
from lbkit.sim import Simulation, kinds

DELAY = 0.125  # seconds each way; sums of eighths are exact
BUILT_IN = [name for name, cls in algorithms().items() if cls.__module__.startswith("lbkit.")]


def one_request(*events: Event, count: int = 3, delay: float = DELAY, **policy: object) -> Result:
    """A request at 1 s, with 1 s of work, that goes to s1."""
    fleet = servers(count, service=Constant(1.0), delay=delay)
    experiment = Experiment(fleet, Traffic(Trace([1.0]), 10), Policy("first_available", **policy), events)
    return run(experiment)


def row(result: Result) -> dict[str, float]:
    (only,) = zip(*result.to_dict().values(), strict=True)
    return dict(zip(result.to_dict(), only, strict=True))


# -- a crash ---------------------------------------------------------------------------------------


def test_a_lost_request_is_resent_to_its_server_and_then_to_another() -> None:
    """Each way takes its time: s1 closes the connection, refuses another one, and s2 gets the request."""
    found = row(one_request(Event(2.0, "crash", "s1")))
    assert found["start"] == 2.0 + 4 * DELAY
    assert found["end"] == 2.0 + 4 * DELAY + 1.0 + DELAY
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)
    assert found["service"] == 1.0  # what s1 had done of it is lost


def test_a_server_that_recovers_in_time_gets_the_request_again() -> None:
    """A new connection to the same backend is no further pick."""
    found = row(one_request(Event(2.0, "crash", "s1"), Event(2.0 + DELAY, "recover", "s1")))
    assert found["start"] == 2.0 + 2 * DELAY
    assert (found["backend"], found["status"], found["attempts"]) == ("s1", 200, 1)


def test_a_new_connection_is_tried_only_once() -> None:
    again = [Event(2.0, "crash", "s1"), Event(2.0 + DELAY, "recover", "s1"), Event(2.75, "crash", "s1")]
    found = row(one_request(*again))
    assert found["start"] == 2.75 + 2 * DELAY
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)
    assert row(one_request(*again, retries=0))["status"] == 502


def test_without_retries_only_the_same_server_is_tried_again() -> None:
    found = row(one_request(Event(2.0, "crash", "s1"), retries=0))
    assert found["end"] == 2.0 + 3 * DELAY
    assert (found["backend"], found["status"], found["attempts"]) == (None, 502, 1)
    assert isnan(found["start"])  # no server that answered
    assert found["service"] == 0


@pytest.mark.parametrize(("retries", "status"), [(1, 502), (2, 200)])
def test_retries_are_counted_in_backends(retries: int, status: int) -> None:
    """Those to s1 are two attempts on one backend; s2 is down, too."""
    crashes = [Event(2.0, "crash", "s1"), Event(2.0, "crash", "s2")]
    found = row(one_request(*crashes, retries=retries))
    assert (found["status"], found["attempts"]) == (status, 1 + retries)


@pytest.mark.parametrize("delay", [0.0, DELAY])
def test_all_down_is_502(delay: float) -> None:
    crashes = [Event(2.0, "crash", f"s{i}") for i in (1, 2, 3)]
    found = row(one_request(*crashes, retries=9, delay=delay))
    assert (found["status"], found["attempts"]) == (502, 3)
    assert found["end"] == 2.0 + 7 * delay  # closed, and three times there and back


def test_requests_in_the_queue_of_a_crashed_server_are_resent_too() -> None:
    fleet = (Server("s1", service=Constant(1.0)), Server("s2", service=Constant(0.25), workers=4))
    crash = [Event(2.125, "crash", "s1")]
    result = run(Experiment(fleet, Traffic(Trace([1.0, 1.25, 1.5, 1.75]), 10), "first_available", crash))
    assert list(result.start) == [1.0, 2.125, 2.125, 2.125]  # the second ran, two waited
    assert set(result.status) == {200}
    assert list(result.attempts) == [1, 2, 2, 2]


def test_a_delay_before_an_attempt_passes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both before the new connection and before another backend."""

    class Patient(Attempts):
        def after(
            self, failure: Failure, backend: Backend, kept: bool = False, now: float = 0.0
        ) -> Again | GiveUp:
            step = super().after(failure, backend, kept, now)
            return step._replace(delay=0.5) if isinstance(step, Again) else step

    monkeypatch.setattr("lbkit.sim.simulation.Attempts", Patient)
    found = row(one_request(Event(2.0, "crash", "s1")))
    assert found["start"] == 2.0 + 4 * DELAY + 2 * 0.5
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)


# -- of every run ----------------------------------------------------------------------------------


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Some hundred requests in four seconds, with all that may go wrong."""
    names = ["s1", "s2", "s3"]
    algorithm = draw(st.sampled_from(BUILT_IN))
    fleet = [
        Server(
            name,
            workers=draw(st.integers(1, 2)),
            service=draw(st.sampled_from([Constant(0.05), Exponential(0.05)])),
            weight=draw(st.sampled_from([1, 3])),
            zone=draw(st.sampled_from("ab")),
            delay=draw(st.sampled_from([0.0, 0.01, 0.3])),
            queue=draw(st.sampled_from([None, 0, 2])),
            error_rate=draw(st.sampled_from([0.0, 0.2])),
            delay_jitter=draw(st.sampled_from([0.0, 0.1])),
            discipline=draw(st.sampled_from(DISCIPLINES)),
            boot=draw(st.sampled_from([0.0, 0.5])),
        )
        for name in names
    ]
    may_crash = not algorithms()[algorithm].health_by
    crashes = ["crash", "crash", "recover"] if may_crash else []
    what = st.sampled_from(
        [*crashes, "drain", "undrain", "slow", "set_weight", "remove", "remove", "add", "add"]
    )
    values = {"slow": 0.4, "set_weight": 2.0}
    changes = st.tuples(st.floats(0, 4), what, st.sampled_from(names))
    events = [Event(at, how, name, values.get(how)) for at, how, name in draw(st.lists(changes, max_size=8))]
    failures = st.builds(Failures, mtbf=st.just(2.0), mttr=st.just(0.5))
    limit = st.sampled_from([{"kind": "concurrency_limit", "limit": 3}, {"kind": "aimd", "initial": 4}, None])
    admission = st.builds(
        Admission,
        limit=limit,
        rate=st.sampled_from([None, 40.0]),
        queue=st.sampled_from(["fifo", "fair", "priority"]),
        max_queue=st.sampled_from([0, 3, 50]),
        timeout=st.sampled_from([0.1, 1.0]),
        priorities=st.sampled_from([{}, {"/item/0": "high"}]),
    )
    rules = st.sampled_from([{"kind": "leaky_queue", "rate": 10, "capacity": 5}, {"kind": "gcra", "rate": 5}])
    return Experiment(
        fleet,
        Traffic(
            draw(st.sampled_from([Poisson(60), Closed(20, 0.1)])),
            duration=4,
            clients=draw(st.sampled_from([2, 50])),
            paths=draw(st.sampled_from([2, 50])),
        ),
        Policy(
            algorithm,
            retries=draw(st.integers(0, 3)),
            balancers=draw(st.sampled_from([1, 3])),
            key=draw(st.sampled_from(["", "client", "path", "flow"])),
        ),
        possible(events),
        seed=draw(st.integers(0, 99)),
        limits=draw(st.lists(rules.map(RateLimit), max_size=1)),
        admission=draw(st.none() | admission),
        failures=draw(st.none() | failures) if may_crash else None,
    )


class AuditedPool(Pool):
    audit: Audited | None = None  # not while the pool is being made

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        backend = super().pick(key, now, exclude, token)
        assert backend not in exclude
        if self.audit:
            self.audit.leases[backend, now] += 1
            self.audit.picks[self.audit.row] += 1
        return backend

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        if self.audit:
            self.audit.leases[backend, start] -= 1
            assert self.audit.leases[backend, start] >= 0
        super().release(backend, start, ok, now)


class Audited(Simulation):
    """Counts leases and answers."""

    pools_kind = AuditedPool

    def __init__(self, experiment: Experiment) -> None:
        self.answers: Counter[int] = Counter()
        super().__init__(experiment)
        self.leases: Counter[tuple[Backend, float]] = Counter()
        self.picks: Counter[int] = Counter()
        self.row = -1
        for pool in self.pool.pools:
            assert isinstance(pool, AuditedPool)
            pool.audit = self

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        self.row = row
        super().dispatch(row, tried)

    def answer(self, row: int) -> None:
        self.answers[row] += 1
        super().answer(row)

    def reply(self, row: int, status: int) -> None:
        self.answers[row] += 1
        super().reply(row, status)


@settings(max_examples=150)
@given(experiments())
def test_every_request_has_one_answer_and_every_lease_ends_once(experiment: Experiment) -> None:
    audited = Audited(experiment)
    result = audited.run()
    assert audited.answers == Counter(range(len(result)))
    assert not any(audited.leases.values())
    assert all(backend.in_flight == 0 for backend in audited.pool.all_backends())
    assert not audited.entrance.waiting
    assert not audited.entrance.admitted
    assert list(result.attempts) == [audited.picks[i] for i in range(len(result))]
    assert max(result.attempts, default=0) <= 1 + experiment.policy.retries
    for arrival, start, end, backend, status, service in zip(
        *(result.columns[c] for c in ("arrival", "start", "end", "backend", "status", "service")), strict=True
    ):
        assert end >= arrival
        assert status in (200, 429, 500, 502, 503)
        assert (status == 200) == (start >= arrival) == (service > 0)  # the others were served by none
        assert backend >= 0 or status in (429, 502, 503)


@settings(max_examples=30)
@given(experiments())
def test_the_same_experiment_gives_the_same_result(experiment: Experiment) -> None:
    assert str(run(experiment).columns) == str(run(experiment).columns)


def test_each_kind_of_event_has_its_handler() -> None:
    numbers = sorted(kind for name, kind in vars(kinds).items() if name.isupper())
    handlers = Simulation(Experiment(servers(1))).handlers
    assert numbers == list(range(len(handlers)))
