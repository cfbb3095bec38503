"""Rate limits in virtual time: the same decisions as the limiter alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lbkit import (
    Admission,
    AdmissionControlRules,
    AlgorithmError,
    Closed,
    Constant,
    Event,
    Experiment,
    OnOff,
    Poisson,
    RateLimit,
    Result,
    Traffic,
    run,
    servers,
    watchdog,
)
from lbkit.core.limit import Limiter, make_limiter, play

LIMITERS = [
    {"kind": "token_bucket", "rate": 20, "burst": 5},
    {"kind": "gcra", "rate": 20, "burst": 5},
    {"kind": "leaky_queue", "rate": 20, "capacity": 5},
    {"kind": "nginx_limit", "rate": 20, "burst": 5, "delay": 2},
    {"kind": "fixed_window", "limit": 20},
    {"kind": "sliding_log", "limit": 20},
    {"kind": "sliding_counter", "limit": 20},
]
SHOP = Experiment(
    servers(2, service=Constant(0.001)),
    Traffic(Poisson(100), duration=5, clients=4, client_skew=1.5, paths=3),
    seed=2,
)


@pytest.mark.parametrize("limiter", LIMITERS, ids=lambda limiter: limiter["kind"])
def test_the_simulator_admits_what_the_limiter_alone_admits(limiter: dict[str, object]) -> None:
    """Each client by itself, as if the limiter were called by hand."""
    result = run(SHOP.but(limits=[RateLimit(limiter)]))
    options = {name: value for name, value in limiter.items() if name != "kind"}
    for client in range(4):
        mine = result.where(client=client)
        said = [decision for _, decision in play(make_limiter(str(limiter["kind"]), **options), mine.arrival)]
        assert [s != 429 for s in mine.status] == [d.allowed for d in said]
        held = [d.delay for d in said if d.allowed]
        let_in = mine.where(status=200)
        waits = [start - arrival for start, arrival in zip(let_in.start, let_in.arrival, strict=True)]
        assert all(w > d - 1e-9 for w, d in zip(waits, held, strict=True))
    assert 0 < result.denied < 1


def test_requests_that_a_limit_delays_leave_evenly() -> None:
    limit = RateLimit({"kind": "leaky_queue", "rate": 50, "capacity": 20}, key="global")
    result = run(SHOP.but(limits=[limit]))
    starts = sorted(result.where(status=200).start)
    assert all(b - a > 0.02 - 0.0011 for a, b in pairwise(starts))  # one server may still be busy
    assert result.denied > 0


def test_a_denied_request_reaches_no_server() -> None:
    result = run(SHOP.but(limits=[RateLimit({"kind": "gcra", "rate": 1})]))
    away = result.where(status=429)
    assert len(away) > 100
    assert set(away.backend) == {-1}
    assert set(away.attempts) == {0}
    assert list(away.arrival) == list(away.end)
    assert sum(result.counts.values()) + len(away) == len(result)


def test_paths_have_rules_of_their_own() -> None:
    strict = RateLimit({"kind": "gcra", "rate": 0.001}, key="global", path="/item/1")
    result = run(SHOP.but(limits=[strict]))
    assert len(result.where(path=1, status=200)) == 1
    assert result.where(path=lambda path: path != 1).denied == 0


def test_users_of_a_closed_loop_send_again_after_a_denial() -> None:
    crowd = SHOP.but(arrivals=Closed(users=5, think=0.05), limits=[RateLimit({"kind": "gcra", "rate": 5})])
    result = run(crowd)
    assert 0.3 < result.denied < 1
    assert len(result) > 300
    assert max(len(result.where(client=c, status=200)) for c in range(4)) <= 5 * 5 + 1


# -- the gate ------------------------------------------------------------------------------------

BURSTS = Experiment(
    servers(1, service=Constant(0.01), queue=5),
    Traffic(OnOff(peak=250, on=0.2, off=0.6), duration=8, clients=5, client_skew=3, paths=3),
    seed=3,
)
PATIENT = {"max_queue": 10_000, "timeout": 1000.0}


@pytest.mark.parametrize("queue", ["fifo", "lifo", "fair", "priority"])
def test_the_gate_releases_requests_at_its_rate(queue: str) -> None:
    """No request is lost, and no interval has more than burst + rate x t."""
    gate = Admission(rate=90, burst=3, queue=queue, priorities={"/item/0": "high"}, **PATIENT)
    result = run(BURSTS.but(admission=gate))
    assert run(BURSTS).error_rate > 0.2
    assert result.error_rate == 0
    starts = sorted(result.start)
    for i, first in enumerate(starts):
        for count, last in enumerate(starts[i : i + 200], 1):
            assert count <= 3 + 1 + 90 * (last - first) + 1e-6  # one more that the server made wait


def test_the_gate_limits_requests_in_flight() -> None:
    limit = Admission(limit={"kind": "concurrency_limit", "limit": 3}, **PATIENT)
    result = run(BURSTS.but(admission=limit))
    assert result.error_rate == 0  # the server's own queue never has more than two
    inside = [(end - start) for start, end in zip(result.start, result.end, strict=True)]
    assert max(inside) < 0.0101
    _, levels = result.in_flight(0.001)
    assert max(levels["s1"]) > 3  # the others wait at the gate


def test_a_full_queue_and_a_timeout_are_503() -> None:
    short = run(BURSTS.but(admission=Admission(rate=50, max_queue=5, timeout=0.3)))
    away = short.where(status=503)
    assert len(away) > 50
    assert set(away.backend) == {-1}
    assert set(away.attempts) == {0}
    waits = {round(end - arrival, 6) for end, arrival in zip(away.end, away.arrival, strict=True)}
    assert waits == {0.0}  # five wait at most, a tenth of a second each: full, never late
    late = run(BURSTS.but(admission=Admission(rate=50, max_queue=500, timeout=0.3))).where(status=503)
    assert {round(end - arrival, 6) for end, arrival in zip(late.end, late.arrival, strict=True)} == {0.3}


def test_in_a_fair_queue_a_heavy_client_waits_for_its_own_requests() -> None:
    fifo, fair = (run(BURSTS.but(admission=Admission(rate=90, queue=q, **PATIENT))) for q in ("fifo", "fair"))
    others = [r.where(client=lambda client: client > 0).mean for r in (fifo, fair)]
    assert others[1] < 0.2 * others[0]


def test_all_servers_down_behind_a_gate() -> None:
    """Each admitted request fails at once, which admits the next one: without recursion."""
    dead = BURSTS.but(admission=Admission(limit={"kind": "concurrency_limit", "limit": 1}, **PATIENT))
    dead = dead.but(events=[Event(0.0, "crash", "s1")], arrivals=Poisson(2000), duration=3)
    result = run(dead)
    assert set(result.status) == {502}


def test_an_adaptive_limit_follows_the_server() -> None:
    slows = Experiment(
        servers(1, workers=4, service=Constant(0.02)),
        Traffic(Poisson(120), duration=20),
        events=[Event(5, "slow", "s1", 0.25)],
        seed=1,
    )
    aimd = Admission(limit={"kind": "aimd", "initial": 8, "timeout": 0.25}, max_queue=10, timeout=0.2)
    alone, guarded = run(slows), run(slows.but(admission=aimd))
    assert guarded.percentile(99) < 0.6 < alone.percentile(50)
    assert guarded.throughput > 0.75 * 50  # of what the slow server can take, and more before


# -- overload --------------------------------------------------------------------------------------


def overloaded(seed: int, **admission: object) -> Result:
    """Half as many requests again as one worker can serve, at a gate that lets one in at a time."""
    fleet = servers(1, service=Constant(0.01))
    gate = Admission(limit={"kind": "concurrency_limit", "limit": 1}, **admission)  # type: ignore[arg-type]
    return run(Experiment(fleet, Traffic(Poisson(150), 20, warmup=5), admission=gate, seed=seed))


def in_time(result: Result, within: float) -> int:
    """Return how many requests had a good answer within so many seconds."""
    return sum(ok and latency <= within for ok, latency in zip(result.ok, result.latency, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_in_overload_lifo_and_controlled_delay_answer_in_time_where_fifo_does_not(seed: int) -> None:
    fifo, lifo, codel = (
        overloaded(seed, queue=queue, max_queue=100, timeout=10.0, target=0.02, interval=0.1)
        for queue in ("fifo", "lifo", "codel")
    )
    assert in_time(fifo, 0.5) < 0.05 * len(fifo)
    assert in_time(lifo, 0.5) > 10 * in_time(fifo, 0.5) + 1000
    assert codel.percentile(50) < fifo.percentile(50) / 2
    assert codel.extra["refused"]["delayed"] > 0
    for result in (lifo, codel):  # the worker is as busy as before
        assert result.throughput == pytest.approx(fifo.throughput, rel=0.03)


def test_while_requests_fail_the_gate_rejects_a_share_at_once() -> None:
    fleet = servers(2, service=Constant(0.01), error_rate=0.9)
    traffic = Traffic(Poisson(50), 20, warmup=5)
    control = AdmissionControlRules(window=5.0)
    experiment = Experiment(fleet, traffic, admission=Admission(control=control))
    result = run(experiment)
    refused = result.extra["refused"]["failing"]
    assert 0.6 * len(result) < refused < 0.9 * len(result)  # 80 % at most
    assert repr(run(experiment).to_dict()) == repr(result.to_dict())
    healthy = run(experiment.but(servers=servers(2, service=Constant(0.01))))
    assert healthy.extra["refused"]["failing"] == 0


class Broken(Limiter):
    def step(self, state: int | None, now: float, cost: float) -> int | None:
        raise ZeroDivisionError("oh")


class NeverReturns(Limiter):
    def step(self, state: int | None, now: float, cost: float) -> int | None:
        while True:
            pass


@pytest.mark.parametrize("more", [(), (RateLimit({"kind": "token_bucket", "rate": 5}),)])
def test_a_limiter_that_raises_is_named_with_its_line(more: tuple[RateLimit, ...]) -> None:
    broken = Experiment(servers(1), Traffic(duration=1), limits=(*more, RateLimit({"kind": "broken"})))
    with pytest.raises(AlgorithmError, match=r"Broken\.step raised ZeroDivisionError: oh; .*entrance\.py"):
        run(broken)


def test_a_limiter_that_does_not_return_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOKS", 1)
    endless = Experiment(servers(1), Traffic(duration=1), limits=RateLimit({"kind": "never_returns"}))
    with pytest.raises(AlgorithmError, match=r"NeverReturns\.step did not return, and was interrupted"):
        run(endless)
