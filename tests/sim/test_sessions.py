"""Sessions in the simulator: partly-open traffic, and what happens to sessions when servers come and go."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from statistics import mean

import pytest

from lbkit import (
    Event,
    Experiment,
    Poisson,
    Policy,
    RollingDeploy,
    Sessions,
    Sticky,
    Traffic,
    run,
    servers,
)
from lbkit.patience import Patience
from lbkit.sessions import follow
from lbkit.workload import Visits

TRAFFIC = Traffic(Sessions(rate=5, requests=10, think=1.0), duration=60)
STICKY = Policy("least_connections", sticky=Sticky())
BASE = Experiment(servers(3), TRAFFIC, STICKY)


def by_session(result) -> dict[int, list[int]]:
    """Return the rows of each session, in order of arrival."""
    rows = defaultdict(list)
    for row in sorted(range(len(result)), key=lambda row: result.arrival[row]):
        rows[result.session[row]].append(row)
    return rows


def test_sessions_arrive_and_send_as_often_as_said() -> None:
    result = run(BASE.but(duration=400))
    rows = by_session(result)
    assert len(rows) == pytest.approx(5 * 400, rel=0.06)
    early = [len(r) for session, r in rows.items() if result.arrival[r[0]] < 300]  # they could end
    assert mean(early) == pytest.approx(10, rel=0.06)
    pauses = [result.arrival[b] - result.end[a] for r in rows.values() for a, b in pairwise(r)]
    assert min(pauses) >= 0
    assert mean(pauses) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("duration", [2, 10, 100])
def test_the_expected_rate_is_the_measured_one(duration: float) -> None:
    experiment = BASE.but(duration=duration, arrivals=Sessions(rate=20, requests=10, think=1.0))
    fast = experiment.but(servers=servers(3, speed=1000.0, workers=100))
    rates = [len(run(fast.but(seed=seed))) / duration for seed in range(8)]
    assert mean(rates) == pytest.approx(experiment.traffic.arrivals.mean_rate(duration), rel=0.08)


def test_a_load_leaves_sessions_as_they_are() -> None:
    loaded = BASE.at_load(0.5)
    assert loaded.traffic.arrivals == Sessions(rate=7.5, requests=10, think=1.0)
    assert loaded.but(duration=10_000).load == pytest.approx(0.5, abs=0.01)


def test_sessions_send_the_same_under_every_policy() -> None:
    """Only their times differ: a client that waits for its answer sends later if that is slow."""
    sent = []
    for policy in ("round_robin", "random", STICKY):
        result = run(BASE.but(policy=policy))
        columns = (result.client, result.path)
        sent.append({s: [[c[row] for c in columns] for row in r] for s, r in by_session(result).items()})
    first = sent[0]
    for other in sent[1:]:
        assert other.keys() == first.keys()
        for session, requests in other.items():
            shared = min(len(requests), len(first[session]))
            assert requests[:shared] == first[session][:shared]
    assert len(Visits(BASE)) == len(first)


@pytest.mark.parametrize("how", ["insert", "learn", "source"])
def test_sessions_stay(how: str) -> None:
    result = run(BASE.but(policy=Policy("random", sticky=Sticky(how, "session"))))
    assert result.sessions.begun > 200
    assert result.sessions[1:] == (0, 0, 0)
    assert all(len({result.backend[row] for row in rows}) == 1 for rows in by_session(result).values())


def test_without_stickiness_nearly_every_request_loses_the_state() -> None:
    lost = run(BASE.but(policy="random")).sessions
    again = lost.moved / (len(run(BASE.but(policy="random"))) - lost.begun)
    assert again == pytest.approx(2 / 3, abs=0.03)  # of three servers
    assert lost.lost == lost.moved
    shared = BASE.but(policy="random", arrivals=Sessions(rate=5, requests=10, think=1.0, state="shared"))
    assert run(shared).sessions.moved == lost.moved
    assert run(shared).sessions.lost == 0


def test_a_crash_loses_the_sessions_on_the_server_and_no_others() -> None:
    experiment = BASE.but(events=[Event(30, "crash", "s2"), Event(40, "recover", "s2")])
    result = run(experiment)
    assert result.error_rate == 0  # they moved
    on_it = {
        session
        for session, rows in by_session(result).items()
        for a, b in pairwise(rows)
        if result.backend[a] == 1 and result.end[a] < 30 < result.end[b]
    }
    assert len(on_it) > 5
    assert result.sessions.hit == len(on_it) == result.sessions.lost
    assert result.sessions.moved <= len(on_it)  # some came back after the recovery, to an empty server


def test_what_a_process_answers_just_before_it_is_killed_it_still_knows() -> None:
    """A real process ends some milliseconds after the event of the experiment."""
    experiment = BASE.but(events=[Event(2, "crash", "s2"), Event(3, "recover", "s2")])

    def lost(*ends: float) -> int:
        on_s2, ok, starts = [1] * len(ends), [200] * len(ends), [end - 0.01 for end in ends]
        return follow(experiment, [7] * len(ends), on_s2, starts, ends, ok).lost

    assert lost(1.0, 2.004) == 0
    assert lost(1.0, 3.5) == 1
    assert lost(1.0, 2.004, 3.5, 3.6) == 1


def test_a_deploy_loses_the_sessions_in_the_memory_of_every_server_it_replaces() -> None:
    policy = Policy("round_robin", sticky=Sticky(drain=False))
    experiment = BASE.but(policy=policy, deploy=RollingDeploy(at=30, settle=0.5))
    result = run(experiment)
    assert result.extra["deploy"] == "done"
    over = max(change.at for change in result.changes)
    across = [
        session
        for session, rows in by_session(result).items()
        if result.end[rows[0]] < 30 and result.arrival[rows[-1]] > over
    ]
    assert len(across) > 5
    assert result.sessions.hit >= len(across)
    shared = experiment.but(arrivals=Sessions(rate=5, requests=10, think=1.0, state="shared"))
    assert run(shared).sessions.lost == 0


def test_a_session_on_a_server_that_is_gone_may_be_refused() -> None:
    events = [Event(30, "drain", "s2")]
    strict = Policy("round_robin", sticky=Sticky(drain=False, gone="refuse"))
    refused = run(BASE.but(policy=strict, events=events))
    assert set(Counter(refused.status)) == {200, 503}
    kept = run(BASE.but(policy=Policy("round_robin", sticky=Sticky()), events=events))
    assert set(kept.status) == {200}
    assert kept.sessions.moved == 0
    moved = run(BASE.but(policy=Policy("round_robin", sticky=Sticky(drain=False)), events=events))
    assert set(moved.status) == {200}
    assert moved.sessions.moved > 5


def test_a_draining_server_keeps_its_sessions_until_they_end() -> None:
    result = run(BASE.but(events=[Event(30, "drain", "s2")], duration=120))
    began = {session: result.arrival[rows[0]] for session, rows in by_session(result).items()}
    late = [
        s for b, s, t in zip(result.backend, result.session, result.arrival, strict=True) if b == 1 and t > 30
    ]
    assert late
    assert all(began[session] <= 30 for session in late)


def test_a_new_server_helps_only_newcomers() -> None:
    """Two servers at 110 %: a third one relieves all users at once, unless sessions stay where they are."""
    long = Sessions(rate=1.1, requests=40, think=1.0)
    two = Experiment(servers(3), Traffic(long, duration=120), events=[Event(60, "add", "s3")])
    free = two.but(policy="least_connections")
    stuck = two.but(policy=STICKY)
    after: dict[str, list[float]] = defaultdict(list)
    for seed in (1, 2, 3):
        for name, experiment in (("free", free), ("stuck", stuck)):
            result = run(experiment.but(seed=seed))
            rows = by_session(result)
            old = {session for session, r in rows.items() if result.arrival[r[0]] < 60}
            share = Counter(
                result.backends[b]
                for b, s, t in zip(result.backend, result.session, result.arrival, strict=True)
                if t > 60 and s in old
            )
            after[name].append(share["s3"] / share.total())
    assert min(after["free"]) > 0.2
    assert max(after["stuck"]) == 0


def test_a_table_that_is_too_small_forgets() -> None:
    small = Policy("random", sticky=Sticky("learn", "session", size=5))
    large = Policy("random", sticky=Sticky("learn", "session", size=5000))
    assert run(BASE.but(policy=small)).sessions.moved > 100
    assert run(BASE.but(policy=large)).sessions.moved == 0


def test_idle_sessions_end_at_the_balancer() -> None:
    patient = Policy("random", sticky=Sticky(idle=30))
    hasty = Policy("random", sticky=Sticky(idle=0.5))  # they think a second on average
    assert run(BASE.but(policy=patient)).sessions.moved == 0
    assert run(BASE.but(policy=hasty)).sessions.moved > 100


def test_several_balancers_need_cookies() -> None:
    for how, moves in (("insert", False), ("learn", True)):
        policy = Policy("random", sticky=Sticky(how, "session"), balancers=4)
        assert (run(BASE.but(policy=policy)).sessions.moved > 0) is moves


def test_clients_of_other_traffic_keep_cookies_too() -> None:
    experiment = Experiment(servers(3), Traffic(Poisson(50), duration=20, clients=30), STICKY)
    result = run(experiment)
    homes = defaultdict(set)
    for client, backend in zip(result.client, result.backend, strict=True):
        homes[client].add(backend)
    moves = [client for client, found in homes.items() if len(found) > 1]
    assert len(moves) < 6  # those that sent a second request before the first answer
    with pytest.raises(ValueError, match="the traffic has no sessions: use Traffic"):
        _ = result.sessions
    with pytest.raises(AttributeError, match="this Result has no 'session'"):
        _ = result.session


def test_a_result_of_sessions_can_be_filtered_and_exported() -> None:
    result = run(BASE.but(duration=10))
    one = result.where(session=3)
    assert set(one.session) == {3}
    assert one.to_dict()["session"] == [3] * len(one)
    assert one.sessions.begun == 1
    grace = run(BASE.but(duration=10), grace=0.0)
    assert len(grace.session) == len(grace)


def test_stickiness_costs_balance() -> None:
    """At 80 %: a request waits at its session's server while others are idle."""
    busy = BASE.but(duration=120, arrivals=Sessions(rate=12, requests=10, think=1.0))
    for seed in (1, 2, 3):
        free = run(busy.but(seed=seed, policy="least_connections"))
        assert run(busy.but(seed=seed)).mean > 1.2 * free.mean


def test_impatient_clients_have_sessions_too() -> None:
    events = [Event(10, "slow", "s1", 0.01), Event(12, "recover", "s1")]
    impatient = BASE.but(patience=Patience(timeout=0.3, retries=2), events=events, duration=30)
    result = run(impatient)
    assert len(result.session) == len(result)
    assert result.resent
    assert result.sessions.moved == 0
    assert 0 not in set(result.where(arrival=lambda t: t > 16).status)


def test_the_same_experiment_has_the_same_result() -> None:
    again = Experiment.from_toml(BASE.to_toml())
    assert again == BASE
    assert list(run(again).end) == list(run(BASE).end)
