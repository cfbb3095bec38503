"""Laws that hold for impatient clients, whatever happens to the servers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_readable
from strategies import possible

from lbkit import (
    Admission,
    Closed,
    Constant,
    Event,
    Experiment,
    Exponential,
    Poisson,
    Policy,
    Server,
    Traffic,
)
from lbkit.core import Backend
from lbkit.core.health import BreakerRules, CheckRules, HealthRules, MaxFailsRules
from lbkit.events import DEPENDENCY_STATES
from lbkit.patience import Backoff, Patience
from lbkit.server import DISCIPLINES
from lbkit.sim.impatient import ImpatientSimulation

NAMES = ("s1", "s2", "s3")
VALUES = {"slow": 0.4, "flap": 0.3, "lose": 0.5, "fail": 0.5, "delay": 0.2}
ACTIONS = ("crash", "recover", "recover", "hang", "hang", "drain", "undrain", *VALUES)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    fleet = [
        Server(
            name,
            workers=draw(st.integers(1, 2)),
            service=draw(st.sampled_from([Constant(0.05), Exponential(0.05)])),
            delay=draw(st.sampled_from([0.0, 0.01, 0.3])),
            queue=draw(st.sampled_from([None, 0, 2])),
            error_rate=draw(st.sampled_from([0.0, 0.2])),
            discipline=draw(st.sampled_from(DISCIPLINES)),
            boot=draw(st.sampled_from([0.0, 0.5])),
            dependencies={"database": 0.5},
            cancels=draw(st.booleans()),
        )
        for name in NAMES
    ]
    happens = st.builds(
        lambda at, action, server: Event(at, action, server, VALUES.get(action)),
        st.floats(0, 4),
        st.sampled_from(ACTIONS),
        st.sampled_from(NAMES),
    )
    breaks = st.builds(
        Event,
        at=st.floats(0, 4),
        action=st.sampled_from(list(DEPENDENCY_STATES)),
        server=st.sampled_from(["", *NAMES]),
        dependency=st.just("database"),
    )
    patience = st.builds(
        Patience,
        timeout=st.sampled_from([0.02, 0.2, 1.0]),
        retries=st.integers(0, 3),
        backoff=st.sampled_from([None, Backoff()]),
        gives_up=st.sampled_from([None, 0.3]),
    )
    health = st.sampled_from(
        [
            None,
            HealthRules(checks=CheckRules(interval=0.5, timeout=0.3)),
            HealthRules(max_fails=MaxFailsRules(), breaker=BreakerRules(minimum=3, open_for=0.5)),
            HealthRules(max_in_flight=2),
        ]
    )
    limit = {"kind": "aimd", "initial": 4}
    admission = st.builds(Admission, limit=st.just(limit), timeout=st.sampled_from([0.1, 1.0]))
    return Experiment(
        fleet,
        Traffic(draw(st.sampled_from([Poisson(60), Closed(20, 0.1)])), 4, patience=draw(patience)),
        Policy(
            draw(st.sampled_from(["round_robin", "least_connections", "join_idle_queue", "prequal"])),
            retries=draw(st.integers(0, 2)),
            balancers=draw(st.sampled_from([1, 3])),
            health=draw(health),
        ),
        possible(draw(st.lists(happens | breaks, max_size=8))),
        seed=draw(st.integers(0, 99)),
        admission=draw(st.none() | admission),
    )


class Audited(ImpatientSimulation):
    """Counts leases."""

    def __init__(self, experiment: Experiment) -> None:
        need_readable()
        super().__init__(experiment)
        self.leases: Counter[tuple[Backend, float]] = Counter()
        pick, release = self.pool.pick, self.pool.release

        def picked(*asked: object) -> Backend:
            backend = pick(*asked)
            self.leases[backend, self.engine.now] += 1
            return backend

        def released(backend: Backend, start: float, ok: bool | None, now: float) -> None:
            self.leases[backend, start] -= 1
            assert self.leases[backend, start] >= 0
            release(backend, start, ok, now)

        self.pool.pick, self.pool.release = picked, released  # type: ignore[method-assign]


@settings(max_examples=100)
@given(experiments())
def test_every_request_has_an_outcome_and_every_lease_ends_once(experiment: Experiment) -> None:
    audited = Audited(experiment)
    result = audited.run()
    patience = experiment.traffic.patience
    assert patience
    assert not any(audited.leases.values())
    assert all(backend.in_flight == 0 for backend in audited.pool.all_backends())
    assert not audited.waiting
    assert not audited.entrance.waiting
    assert not audited.entrance.admitted
    assert len(result) + len(result.resent) == len(audited.requests.arrival)
    assert list(result.resent) == sorted(result.resent)
    assert max(audited.tried.values(), default=1) <= 1 + patience.retries
    longest = (1 + patience.retries) * (patience.timeout + 0.25)
    if patience.gives_up is not None:
        longest = min(longest, patience.gives_up)
    for arrival, start, end, backend, status, service in zip(
        *(result.columns[c] for c in ("arrival", "start", "end", "backend", "status", "service")), strict=True
    ):
        assert arrival <= end <= arrival + longest + 1e-9
        assert status in (0, 200, 429, 500, 502, 503, 504)
        assert (status == 200) == (start >= arrival) == (service > 0)
        assert backend >= 0 or status not in (200, 500)
    assert result.goodput <= result.throughput
    assert all(work.service >= 0 and work.start >= 0 for work in result.wasted)


@settings(max_examples=30)
@given(experiments())
def test_a_worker_serves_one_request_at_a_time(experiment: Experiment) -> None:
    """Whatever is cancelled, held or frozen, and for whomever: the work of a server in order of arrival."""
    result = Audited(experiment).run()
    for number, server in enumerate(experiment.servers):
        if server.discipline != "fifo":
            continue
        rows = zip(result.backend, result.start, result.service, result.status, strict=True)
        spans = [(start, start + work) for b, start, work, status in rows if b == number and status == 200]
        spans += [(work.start, work.end) for work in result.wasted if work.backend == server.name]
        changes = sorted([(a + 1e-9, 1) for a, _ in spans] + [(b, -1) for _, b in spans])
        level = 0
        for (_, change), _ in pairwise([*changes, (0.0, 0)]):
            level += change
            assert level <= server.workers
