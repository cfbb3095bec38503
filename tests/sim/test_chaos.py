"""Servers that hang, flap, lose requests, fail some clients, are far away, or lack what they depend on."""

from __future__ import annotations

from collections import Counter

import pytest

from lbkit import Constant, Event, Experiment, Poisson, Policy, Server, Trace, Traffic, run, servers
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.server import DISCIPLINES
from lbkit.workload import chosen, client_name

CHECKS = CheckRules(interval=1.0, timeout=0.5, fall=3, rise=2)
DEEP = CheckRules(interval=1.0, timeout=0.5, fall=3, rise=2, probe=Probe(path="/health/detail"))


def fleet(
    events, health: HealthRules | None = None, duration: float = 30, seed: int = 1, **policy
) -> Experiment:
    policy = Policy("round_robin", retries=0, health=health, **policy)
    three = servers(3, dependencies={"database": 0.3, "cache": 0.2})
    return Experiment(three, policy=policy, events=events, seed=seed).at_load(0.3).but(duration=duration)


def one(*events: Event, discipline: str = "fifo", arrivals=(1.0,)) -> list[tuple[float, int]]:
    """The ends and statuses of requests, of 1 s each, at one server of two workers."""
    server = Server("s", workers=2, service=Constant(1.0), discipline=discipline)
    result = run(Experiment([server], Traffic(Trace(list(arrivals)), 20), Policy(retries=0), list(events)))
    return list(zip(result.end, result.status, strict=True))


# -- a server that hangs -----------------------------------------------------------------------------


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_hung_server_resumes_its_work(discipline: str) -> None:
    hang, on = Event(1.5, "hang", "s"), Event(5.0, "recover", "s")
    ends = one(hang, on, discipline=discipline, arrivals=(1.0, 3.0))
    assert ends == [(5.5, 200), (6.0, 200)]  # half of the first was done; the second had been accepted


@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_crash_ends_a_hang(discipline: str) -> None:
    events = Event(1.5, "hang", "s"), Event(5.0, "crash", "s")
    assert one(*events, discipline=discipline, arrivals=(1.0, 3.0)) == [(5.0, 502), (5.0, 502)]


def test_what_a_server_hangs_on_for_ever_has_no_answer() -> None:
    assert one(Event(1.6, "hang", "s"), arrivals=(0.5, 1.0)) == [(1.5, 200), (20.0, 0)]


@pytest.mark.parametrize("seed", range(10))
def test_checks_find_a_server_that_hangs_in_the_time_that_the_rules_promise(seed: int) -> None:
    """A probe that is on its way when the server stops has passed already; the next three have no answer."""
    at = 10 + seed / 10
    result = run(fleet([Event(at, "hang", "s2")], HealthRules(checks=CHECKS), seed=seed))
    assert [(c.backend, c.after, c.why) for c in result.changes] == [
        ("s2", "failing", "no answer in time"),
        ("s2", "down", "no answer in time"),
    ]
    found = result.changes[1].at - at
    longest = CHECKS.longest_detection(hangs=True)
    assert longest == CHECKS.interval * CHECKS.fall + CHECKS.timeout
    assert CHECKS.interval * (CHECKS.fall - 1) + CHECKS.timeout <= found <= longest
    late = [b for a, b in zip(result.arrival, result.backend, strict=True) if a > at + found]
    assert result.backends.index("s2") not in late
    unanswered = result.where(status=0)
    assert 0 < len(unanswered) == sum(at - 5 < a <= at + found for a in unanswered.arrival)


def test_a_check_that_only_connects_does_not_find_it() -> None:
    tcp = CheckRules(interval=1.0, timeout=0.5, probe=Probe(kind="tcp"))
    assert run(fleet([Event(10, "hang", "s2")], HealthRules(checks=tcp))).changes == ()


# -- flaps, lost requests, errors for some, delay -------------------------------------------------------


def test_flaps_are_crashes_and_recoveries_until_it_recovers() -> None:
    experiment = fleet([Event(10, "flap", "s1", 2), Event(15, "recover", "s1")])
    assert [(e.at, e.action.value) for e in experiment.timeline] == [
        (10, "crash"),
        (12, "recover"),
        (14, "crash"),
        (15, "recover"),
    ]
    assert len(fleet([Event(10, "flap", "s1", 2)]).timeline) == 10  # to the end, at 30 s


def test_a_server_that_fails_one_check_in_ten_is_never_out_with_fall_3() -> None:
    flaps = [
        event
        for at in range(5, 600, 10)
        for event in (Event(at + 0.5, "crash", "s1"), Event(at + 1.49, "recover", "s1"))
    ]
    result = run(fleet(flaps, HealthRules(checks=CHECKS), duration=600))
    assert Counter(c.after for c in result.changes)["failing"] > 50
    assert "down" not in {c.after for c in result.changes}


def test_a_share_of_requests_is_lost_while_probes_pass() -> None:
    events = [Event(0, "lose", "s1", 0.2), Event(20, "recover", "s1")]
    result = run(fleet(events, HealthRules(checks=CHECKS)))
    assert result.changes == ()
    lost = result.where(status=0)
    assert max(lost.arrival) < 20
    before = len([a for a in result.arrival if a < 20]) / 3  # that s1 had
    assert len(lost) == pytest.approx(0.2 * before, abs=4 * (0.2 * 0.8 * before) ** 0.5)


def test_lost_requests_end_with_a_crash() -> None:
    assert one(Event(0.5, "lose", "s", 1.0), Event(5.0, "crash", "s")) == [(5.0, 502)]


def test_a_share_of_the_clients_get_errors_always_the_same() -> None:
    events = [Event(5, "fail", "s1", 0.3), Event(25, "recover", "s1")]
    result = run(fleet(events))
    failed = result.where(status=500)
    assert set(failed.backend) == {0}
    assert set(failed.client) <= {c for c in range(100) if chosen(client_name(c), 0.3)}
    assert min(failed.arrival) >= 5
    assert max(failed.arrival) <= 25


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_clients_is_about_that_share(share: float) -> None:
    names = [client_name(i) for i in range(10_000)]
    assert sum(chosen(name, share) for name in names) == pytest.approx(10_000 * share, abs=200)


def test_a_delay_is_on_each_way_and_ends() -> None:
    events = [Event(2, "delay", "s", 0.25), Event(6, "recover", "s")]
    ends = one(*events, arrivals=(1.0, 3.0, 7.0))
    assert ends == [(2.25, 200), (4.5, 200), (8.0, 200)]  # the first on its way back


def test_a_delay_that_is_longer_than_half_the_timeout_fails_checks() -> None:
    result = run(fleet([Event(10, "delay", "s1", 0.3)], HealthRules(checks=CHECKS)))
    assert {(c.backend, c.why) for c in result.changes} == {("s1", "no answer in time")}


# -- dependencies, and deep checks ------------------------------------------------------------------


def test_paths_that_need_a_failed_dependency_get_errors() -> None:
    events = [
        Event(10, "fail_dependency", "s1", dependency="database"),
        Event(20, "restore_dependency", "s1", dependency="database"),
    ]
    result = run(fleet(events, duration=60))
    failed = result.where(status=500)
    assert set(failed.backend) == {0}
    share = len(failed) / sum(
        b == 0 and 10 <= a < 20 for a, b in zip(result.arrival, result.backend, strict=True)
    )
    assert share == pytest.approx(0.3, abs=0.15)
    assert run(fleet([Event(10, "degrade_dependency", dependency="database")])).error_rate == 0


def test_a_deep_check_finds_a_broken_dependency_and_a_shallow_one_does_not() -> None:
    events = [
        Event(10, "fail_dependency", "s2", dependency="cache"),
        Event(20, "restore_dependency", "s2", dependency="cache"),
    ]
    assert run(fleet(events, HealthRules(checks=CHECKS))).changes == ()
    deep = run(fleet(events, HealthRules(checks=DEEP)))
    assert [(c.backend, c.after) for c in deep.changes] == [
        ("s2", "failing"),
        ("s2", "down"),
        ("s2", "recovering"),
        ("s2", "up"),
    ]
    assert deep.changes[0].why == "status 503"
    assert deep.error_rate < run(fleet(events)).error_rate


def test_a_degraded_dependency_passes_unless_the_probe_wants_its_state() -> None:
    events = [Event(10, "degrade_dependency", "s2", dependency="cache")]
    strict = CheckRules(interval=1.0, timeout=0.5, probe=Probe(path="/health/detail", body='"cache": "ok"'))
    assert run(fleet(events, HealthRules(checks=DEEP))).changes == ()
    assert run(fleet(events, HealthRules(checks=strict))).changes[-1].after == "down"


def test_a_shared_dependency_empties_the_pool_of_a_deep_check_and_panic_is_the_guard() -> None:
    """Three paths in ten need the database. With a deep check all servers are out, and everybody gets 503."""
    events = [Event(10, "fail_dependency", dependency="database")]
    shallow = run(fleet(events, HealthRules(checks=CHECKS)))
    deep = run(fleet(events, HealthRules(checks=DEEP)))
    guarded = run(fleet(events, HealthRules(checks=DEEP), panic=0.5))
    assert {c.backend for c in deep.changes if c.after == "down"} == {"s1", "s2", "s3"}

    def errors(result) -> float:
        late = result.where(arrival=lambda at: at > 14)
        return sum(status != 200 for status in late.status) / len(late)

    assert errors(deep) == 1.0
    assert errors(shallow) == errors(guarded) == pytest.approx(0.3, abs=0.08)


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (lambda: Event(1, "hang", "s1", 2.0), "'hang' takes none"),
        (lambda: Event(1, "lose", "s1"), "'lose' needs the share of requests, from 0 to 1"),
        (lambda: Event(1, "fail", "s1", 30), "'fail' needs the share of clients, from 0 to 1"),
        (lambda: Event(1, "flap", "s1", 0), "'flap' needs seconds down, and then up"),
        (lambda: Event(1, "fail_dependency", "s1"), "dependency is missing"),
        (lambda: Event(1, "hang", "s1", dependency="cache"), "dependency is 'cache': 'hang' takes none"),
    ],
)
def test_an_event_says_what_it_needs(event, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        event()


def test_a_dependency_that_no_server_has_is_named() -> None:
    with pytest.raises(ValueError, match=r"events\[0\].dependency is 'databse': use one of cache, database"):
        fleet([Event(1, "fail_dependency", dependency="databse")])
    with pytest.raises(ValueError, match=r"give servers their `dependencies`"):
        Experiment(servers(1), events=[Event(1, "fail_dependency", "s1", dependency="database")])
    with pytest.raises(ValueError, match=r"dependencies.database is 30: use the share of paths"):
        Server("s", dependencies={"database": 30})


def test_chaos_is_the_same_each_time_and_goes_through_files() -> None:
    events = [
        Event(2, "hang", "s1"),
        Event(4, "lose", "s2", 0.5),
        Event(5, "fail", "s3", 0.5),
        Event(6, "recover", "s1"),
        Event(7, "fail_dependency", dependency="cache"),
    ]
    before = fleet(events, duration=10).but(arrivals=Poisson(30))
    again = Experiment.from_toml(before.to_toml())
    assert again == before
    assert str(run(again).columns) == str(run(before).columns)
