"""The simulator against closed forms, and against what each event has to do."""

from collections import defaultdict
from itertools import pairwise
from math import exp, isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import (
    Balancer,
    Bimodal,
    Closed,
    Constant,
    ConstantRate,
    Event,
    Experiment,
    Exponential,
    Failures,
    OnOff,
    Poisson,
    Policy,
    Result,
    Server,
    SlowStart,
    Trace,
    Traffic,
    algorithms,
    compare,
    run,
    servers,
)
from lbkit.sim import theory

BUILT_IN = [name for name, cls in algorithms().items() if cls.__module__.startswith("lbkit.")]


def experiment(count: int = 3, *, mean: float = 1.0, **fields) -> Experiment:
    return Experiment(servers(count, service=Exponential(mean), **fields), Traffic(duration=200))


def mean_over_seeds(experiment: Experiment, seeds: int = 4) -> float:
    return sum(run(experiment.but(seed=seed)).mean for seed in range(1, seeds + 1)) / seeds


# -- theory --------------------------------------------------------------------------------
# Tolerances are about three standard errors of such runs, measured over many other seeds.


@pytest.mark.parametrize(("rho", "tolerance"), [(0.5, 0.03), (0.8, 0.06)])
def test_one_server_is_mm1(rho: float, tolerance: float) -> None:
    one = experiment(1).but(duration=20_000, warmup=500).at_load(rho)
    assert mean_over_seeds(one) == pytest.approx(theory.mm1_time(rho), rel=tolerance)


def test_workers_make_it_mmc() -> None:
    four = experiment(1, workers=4).but(duration=8_000, warmup=200).at_load(0.8)
    assert mean_over_seeds(four) == pytest.approx(1 + theory.mmc_wait(4, 0.8), rel=0.03)


def test_constant_service_is_md1() -> None:
    one = Experiment((Server("s", service=Constant(1.0)),), Traffic(duration=20_000, warmup=500))
    assert mean_over_seeds(one.at_load(0.8)) == pytest.approx(1 + theory.md1_wait(0.8), rel=0.04)


def test_variable_service_is_mg1() -> None:
    mixed = Bimodal(fast=0.5, slow=5.5, slow_share=0.1)  # mean 1, E[S^2] = 3.25, so cv = 1.5
    one = Experiment((Server("s", service=mixed),), Traffic(duration=40_000, warmup=500))
    assert mean_over_seeds(one.at_load(0.6)) == pytest.approx(1 + theory.mg1_wait(0.6, 1.5), rel=0.05)


@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_two_choices_make_it_the_supermarket(rho: float) -> None:
    hundred = experiment(100).but(duration=600, warmup=100).at_load(rho)
    expected = theory.supermarket_time(rho, 2)
    mean = mean_over_seeds(hundred.but(policy="power_of_two"), 2)
    assert 0.97 * expected < mean < 1.06 * expected  # a hundred servers are up to 4 % above infinitely many


def test_one_choice_is_mm1_many_times() -> None:
    hundred = experiment(100).but(duration=1000, warmup=100).at_load(0.7)
    assert mean_over_seeds(hundred.but(policy="random"), 2) == pytest.approx(theory.mm1_time(0.7), rel=0.05)


def test_percentiles_of_mm1() -> None:
    result = run(experiment(1).but(duration=40_000, warmup=500).at_load(0.5))
    for q in (50, 90, 99):
        assert result.percentile(q) == pytest.approx(theory.mm1_percentile(0.5, q), rel=0.06)


# -- laws of every run ------------------------------------------------------------------------

names = st.sampled_from(["s1", "s2", "s3"])
events = st.lists(
    st.builds(
        lambda at, what, server: Event(at, what[0], server, what[1]),
        st.floats(0, 40),
        st.sampled_from(
            [("crash", None), ("recover", None), ("slow", 0.4), ("set_weight", 2.0), ("drain", None)]
        ),
        names,
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(BUILT_IN),
    events,
    st.integers(0, 5),
    st.floats(0.2, 1.3),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([0.0, 0.05]),
)
def test_every_run(policy: str, happenings: list[Event], seed: int, load: float, queue, delay: float) -> None:
    result = run(
        experiment(queue=queue, delay=delay, workers=2)
        .but(duration=40, seed=seed, policy=policy, events=happenings)
        .at_load(load)
    )
    for arrival, start, end, status, attempts in zip(
        result.arrival, result.start, result.end, result.status, result.attempts, strict=True
    ):
        assert end >= arrival  # every request is answered
        assert status in (200, 502, 503)
        assert attempts <= 2
        assert status != 200 or (arrival <= start <= end)
    assert_work_conserving(result)


def assert_work_conserving(result) -> None:
    """No request waits while a worker is free: service starts on arrival, or as another ends."""
    by_server = defaultdict(list)
    rows = zip(result.backend, result.arrival, result.start, result.service, strict=True)
    for backend, arrival, start, service in rows:
        if not isnan(start):
            by_server[backend].append((start, arrival, start + service))
    for index, jobs in by_server.items():
        delay = result.experiment.servers[index].delay
        ends = {end for _, _, end in jobs}
        for start, arrival, _ in jobs:
            waited = start - arrival > delay + 1e-9
            # A retry reaches its server later than it arrived; it comes from a server that refused.
            assert (
                not waited
                or any(abs(start - end) < 1e-9 for end in ends)
                or "crash" in str(result.experiment.events)
            )


def test_first_come_first_served() -> None:
    result = run(experiment(1).but(duration=300).at_load(0.9))
    assert all(a <= b for a, b in pairwise(result.start))


def test_same_seed_same_result_other_seed_another() -> None:
    one = experiment().at_load(0.7)
    for policy in BUILT_IN:
        again = [run(one.but(policy=policy)).columns for _ in range(2)]
        assert str(again[0]) == str(again[1])
    assert run(one).columns["arrival"] != run(one.but(seed=2)).columns["arrival"]


def test_every_policy_sees_the_same_traffic() -> None:
    results = compare(experiment().at_load(0.7), BUILT_IN)
    for column in ("arrival", "client", "path"):
        assert len({str(r.columns[column]) for r in results}) == 1
    # The work of a request is its own, too: servers are equal here, so it is the same on each.
    assert len({tuple(round(s, 9) for s in r.service) for r in results}) == 1


# -- events --------------------------------------------------------------------------------


def steady(*happenings: Event, **changes) -> Experiment:
    """Requests every 0.1 s, each 0.05 s of work, over two servers."""
    two = Experiment(servers(2, service=Constant(0.05)), Traffic(ConstantRate(10), duration=10))
    return two.but(events=happenings, **changes)


def answered_by(result, name: str, since: float = -1.0, until: float = 99.0) -> int:
    index = result.backends.index(name)
    return sum(b == index and since < a < until for b, a in zip(result.backend, result.arrival, strict=True))


def test_after_a_crash_other_servers_get_running_and_new_requests() -> None:
    # At 2.02 s, s1 is at work on the request of 2.0 s.
    result = run(steady(Event(2.02, "crash", "s1"), Event(5, "recover", "s1")))
    assert set(result.status) == {200}
    lost = result.where(arrival=2.0)
    assert (list(lost.backend), list(lost.start), list(lost.attempts)) == ([1], [2.02], [2])
    assert answered_by(result, "s1", 2.05, 4.99) == 0
    assert answered_by(result, "s1", 5.01) > 10
    assert max(result.attempts) == 2  # the others found another server


def test_without_retries_requests_to_a_dead_server_fail() -> None:
    result = run(steady(Event(2.02, "crash", "s1"), policy=Policy(retries=0)))
    lost = [s for s, b in zip(result.status, result.backend, strict=True) if s == 502 and b == -1]
    assert len(lost) == 40  # the one that ran, and every other one of the 79 that came after the crash


def test_all_down_is_502_and_all_drained_503() -> None:
    crashed = run(steady(Event(2, "crash", "s1"), Event(2, "crash", "s2")))
    assert set(crashed.status[25:]) == {502}
    drained = run(steady(Event(2, "drain", "s1"), Event(2, "drain", "s2")))
    assert set(drained.status[25:]) == {503}
    assert set(drained.attempts[25:]) == {0}


def test_drain_finishes_what_runs() -> None:
    result = run(steady(Event(2.02, "drain", "s1")))
    assert set(result.status) == {200}
    assert answered_by(result, "s1", 2.03) == 0


def test_remove_and_add() -> None:
    result = run(steady(Event(2.02, "remove", "s1"), Event(4, "add", "s2")))
    assert answered_by(result, "s2", -1, 3.99) == 0  # what is added is not there before
    assert answered_by(result, "s2", 4.01) == 59
    assert set(result.status[:21]) == {200}
    assert set(result.status[21:40]) == {503}  # neither is there


def test_a_removed_server_can_be_added_again_as_a_new_backend() -> None:
    """With the weight of the experiment, and no longer draining."""
    events = [Event(2, "set_weight", "s1", 4), Event(2, "drain", "s1")]
    events += [
        Event(at, action, "s1") for at, action in [(3, "remove"), (4, "add"), (5, "remove"), (7, "add")]
    ]
    result = run(steady(*events, policy="weighted_round_robin"))
    assert set(result.status) == {200}
    shares = [answered_by(result, "s1", since, until) for since, until in [(2.05, 3.95), (5.05, 6.95)]]
    assert shares == [0, 0]
    assert answered_by(result, "s1", 4.05, 4.95) in (4, 5)
    assert answered_by(result, "s1", 7.05) in (14, 15)


@pytest.mark.parametrize("balancers", [1, 3])
def test_leases_from_before_a_removal_end_after_it(balancers: int) -> None:
    events = [Event(2.02, "remove", "s1"), Event(2.03, "add", "s1")]
    result = run(steady(*events, policy=Policy("least_connections", balancers=balancers)))
    assert set(result.status) == {200}
    assert answered_by(result, "s1", 2.05) > 20


def test_undrain() -> None:
    result = run(steady(Event(2.02, "drain", "s1"), Event(5.02, "undrain", "s1")))
    assert answered_by(result, "s1", 2.03, 5.01) == 0
    assert answered_by(result, "s1", 5.03) == 24  # of 49


def test_a_server_boots_after_it_has_recovered() -> None:
    one = Experiment([Server("s", service=Constant(0.05), boot=1.5)], Traffic(ConstantRate(10), duration=10))
    crash, recover = Event(2.02, "crash", "s"), Event(3.02, "recover", "s")
    result = run(one.but(events=[crash, recover]))
    bad = [arrival for arrival, status in zip(result.arrival, result.status, strict=True) if status != 200]
    assert (min(bad), max(bad)) == (2.0, 4.5)
    # Crashing during the boot ends it; "recover" during a boot does not begin it again.
    again = run(one.but(events=[crash, recover, Event(4, "crash", "s"), Event(5.02, "recover", "s")]))
    bad = [arrival for arrival, status in zip(again.arrival, again.status, strict=True) if status != 200]
    assert (min(bad), max(bad)) == (2.0, 6.5)
    twice = run(one.but(events=[crash, recover, Event(4, "recover", "s")]))
    assert str(twice.columns) == str(result.columns)


@pytest.mark.parametrize("discipline", ["fifo", "processor_sharing"])
@pytest.mark.parametrize(
    "ending", [[Event(6, "recover", "s1")], [Event(6, "crash", "s1"), Event(6, "recover", "s1")]]
)
def test_slow_ends_with_a_crash_and_at_recover(discipline: str, ending: list[Event]) -> None:
    two = servers(2, service=Constant(0.05), discipline=discipline)
    slow = steady(Event(5, "slow", "s1", 0.5), *ending).but(servers=two)
    result = run(slow)
    work = dict(zip(result.arrival, result.service, strict=True))
    assert [work[5.0], work[5.2]] == pytest.approx([0.1, 0.1])
    assert set(result.where(arrival=lambda t: t > 6.01).service) == {0.05}


def test_slow_does_nothing_to_a_server_that_is_down() -> None:
    events = [Event(2, "crash", "s1"), Event(3, "slow", "s1", 0.5), Event(4, "recover", "s1")]
    assert set(run(steady(*events)).service) == {0.05}


def test_jitter_adds_an_exponential_part_to_each_way() -> None:
    far = Experiment(
        [Server("s", workers=50, service=Constant(0.1), delay=0.5, delay_jitter=0.2)],
        Traffic(ConstantRate(50), duration=100),
    )
    result = run(far)
    there = [start - arrival for arrival, start in zip(result.arrival, result.start, strict=True)]
    back = [end - start - 0.1 for start, end in zip(result.start, result.end, strict=True)]
    for way in (there, back):
        assert min(way) >= 0.5
        assert sum(way) / len(way) == pytest.approx(0.7, abs=0.01)
        assert sum(t > 0.5 + 0.2 for t in way) / len(way) == pytest.approx(exp(-1), abs=0.03)
    assert run(far).columns == result.columns
    assert set(run(far.but(seed=2)).end) != set(result.end)


def test_a_grace_ends_the_run_with_requests_unanswered() -> None:
    one = Experiment([Server("s", service=Constant(2.0))], Traffic(Trace([0.0, 1.0, 2.0]), 3))
    assert list(run(one).end) == [2.0, 4.0, 6.0]
    cut = run(one, grace=2.0)
    assert list(cut.status) == [200, 200, 0]
    assert list(cut.end) == [2.0, 4.0, 5.0]
    assert list(cut.backend) == [0, 0, -1]
    assert isnan(cut.start[2])
    assert cut.error_rate == pytest.approx(1 / 3)
    assert run(one, grace=3.0).columns == run(one).columns
    with pytest.raises(ValueError, match="grace is -1"):
        run(one, grace=-1)


def test_failures_at_random_are_the_same_for_every_policy() -> None:
    fleet = servers(4, service=Constant(0.01))
    failing = Experiment(fleet, Traffic(Poisson(50), duration=400), failures=Failures(mtbf=20, mttr=5))
    once, again = compare(failing.but(policy=Policy(retries=0)), [Policy(retries=0), Policy(retries=3)])
    assert once.error_rate == pytest.approx(0.2, abs=0.06)  # the share of the time that a server is down
    assert again.error_rate < 0.02


def test_slow_and_weight() -> None:
    slow = run(steady(Event(5, "slow", "s1", 0.5)))
    work = dict(zip(slow.arrival, slow.service, strict=True))
    assert work[4.0] == pytest.approx(0.05)
    assert work[6.0] == pytest.approx(0.1)
    weighted = run(steady(Event(5, "set_weight", "s1", 4), policy="weighted_round_robin"))
    assert answered_by(weighted, "s1", -1, 4.95) == 25
    assert answered_by(weighted, "s1", 4.95) == 40


def test_a_full_queue_refuses() -> None:
    flood = Experiment((Server("s", service=Constant(1.0), queue=2),), Traffic(Trace([0.1] * 5), 10))
    assert sorted(run(flood).status) == [200, 200, 200, 503, 503]


def test_delay_is_felt_by_the_client_and_holds_no_worker() -> None:
    far = Experiment((Server("s", service=Constant(0.1), delay=0.5),), Traffic(Trace([1.0, 3.0]), 5))
    result = run(far)
    assert result.latencies() == pytest.approx([1.1, 1.1])
    assert list(result.start) == pytest.approx([1.5, 3.5])
    assert result.utilisation["s"] == pytest.approx(0.2 / 5)


def test_error_rate() -> None:
    failing = experiment().but(servers=servers(3, service=Exponential(0.1), error_rate=0.3), duration=300)
    result = run(failing.but(arrivals=Poisson(10)))
    assert result.error_rate == pytest.approx(0.3, abs=0.03)
    assert all(isnan(s) for s, status in zip(result.start, result.status, strict=True) if status == 500)


# -- traffic ---------------------------------------------------------------------------------


def test_a_closed_loop_never_has_more_in_flight_than_users() -> None:
    result = run(experiment(1, mean=0.5).but(arrivals=Closed(users=7, think=0.2), duration=50))
    moments = sorted([(a, 1) for a in result.arrival] + [(e, -1) for e in result.end])
    level = high = 0
    for _, step in moments:
        level += step
        high = max(high, level)
    assert high <= 7
    assert result.utilisation["s1"] > 0.95  # and keeps one slow server busy
    assert max(result.arrival) < 50


def test_bursts_wait_longer_than_poisson_at_the_same_rate() -> None:
    one = experiment(2, mean=0.1).but(duration=500)
    bursty = OnOff(peak=24, on=2, off=2)
    assert bursty.rate == 12
    assert run(one.but(arrivals=bursty)).mean > 2 * run(one.but(arrivals=Poisson(12))).mean


# -- a learner's own algorithm -------------------------------------------------------------------


class Laziest(Balancer):
    def pick(self, backends, key, now):
        return min(backends, key=lambda b: b.in_flight)


def test_five_lines_are_an_algorithm() -> None:
    own, best = compare(experiment().at_load(0.8), [Laziest, "least_connections"])
    assert own.mean == pytest.approx(best.mean, rel=0.1)


# -- several balancers, and load reports of servers --------------------------------------------------------

MANY = Experiment(servers(20, service=Exponential(0.05)), Traffic(duration=60, warmup=5), seed=3).at_load(0.9)


def spread(policy: str, balancers: int, **options: object) -> float:
    return run(MANY.but(policy=Policy(policy, options, balancers=balancers))).mean


def test_counts_of_their_own_requests_only_cost_several_balancers_time() -> None:
    """Counts of one request in twenty say little: least connections comes close to random choice."""
    assert spread("least_connections", 1) < 0.8 * spread("least_connections", 20) < spread("random", 1)


def test_load_reports_help_balancers_that_see_few_requests() -> None:
    """Prequal probes the servers, which know of all requests; that helps while the answers are fresh."""
    alone = spread("least_connections", 20)
    assert spread("prequal", 20, age=0.1, hot=0.6) < 0.8 * alone
    assert spread("prequal", 20, age=1.0, hot=0.6) > alone  # twenty service times old


def test_every_informed_algorithm_runs() -> None:
    for name in ("prequal", "choice_of_two", "client_side_weighted"):
        result = run(MANY.but(policy=name, duration=10, warmup=0))
        assert result.error_rate == 0
        assert min(result.counts.values()) > 0


def test_a_slow_server_reports_less_and_gets_less() -> None:
    uneven = Experiment(servers(4, speed=[1, 1, 1, 0.25]), Traffic(duration=120, warmup=60)).at_load(0.6)
    weighted = run(uneven.but(policy=Policy("client_side_weighted", {"blackout": 2.0})))
    assert weighted.shares["s4"] < 0.12
    assert weighted.mean < run(uneven.but(policy="round_robin")).mean / 2


def test_a_flow_is_a_request_of_its_own() -> None:
    """As an NLB sees it: a client is spread over all targets, connection by connection."""
    by_flow = run(MANY.but(policy=Policy("modulo_hash", key="flow"), duration=20, warmup=0))
    homes: dict[int, set[int]] = {}
    for client, backend in zip(by_flow.client, by_flow.backend, strict=True):
        homes.setdefault(client, set()).add(backend)
    assert max(map(len, homes.values())) == 20


def test_slow_start_spares_a_server_that_joins() -> None:
    joining = Experiment(
        servers(4), Traffic(duration=60), policy="weighted_random", events=[Event(20, "add", "s4")]
    ).at_load(0.5)
    slowly = joining.but(policy=Policy("weighted_random", slow_start=SlowStart(20)))

    def early(result: Result) -> int:
        return sum(b == 3 for a, b in zip(result.arrival, result.backend, strict=True) if 20 <= a < 25)

    assert early(run(slowly)) < early(run(joining)) / 2
