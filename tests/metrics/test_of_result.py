from __future__ import annotations

import pytest

from lbkit import Event, Experiment, Layer4, Poisson, Policy, Result, Traffic, run, servers
from lbkit.core.health import CheckRules, HealthRules
from lbkit.metrics import Quantile, Rate, Ratio, Sum, Value, metrics_of
from lbkit.metrics.names import CLASSES, OF_RUNS
from lbkit.metrics.store import labels

TOGETHER = Sum(Rate("lbkit_requests_total", 60))


@pytest.fixture(scope="module")
def result() -> Result:
    policy = Policy("least_connections", health=HealthRules(checks=CheckRules(interval=1.0)))
    events = [Event(40, "crash", "s1"), Event(80, "recover", "s1")]
    return run(Experiment(servers(3), policy=policy, events=events).at_load(0.6).but(duration=120))


def at_the_end(result: Result, query: object, every: float = 5.0) -> dict[tuple[tuple[str, str], ...], float]:
    store = metrics_of(result, every)
    return query.at(store, store.times[-1])  # type: ignore[attr-defined,no-any-return]


def test_counters_count_every_request_once(result: Result) -> None:
    assert at_the_end(result, Sum(Value("lbkit_requests_total"))) == {(): len(result)}
    by_backend = at_the_end(result, Sum(Value("lbkit_request_duration_seconds_count"), ("backend",)))
    served = {name: sum(b == i for b in result.backend) for i, name in enumerate(result.backends)}
    assert {of[0][1]: count for of, count in by_backend.items() if of[0][1] in served} == served


def test_all_classes_are_there_from_the_start(result: Result) -> None:
    store = metrics_of(result)
    found = {dict(of)["code"] for of, _ in store.select("lbkit_requests_total", {})}
    assert found == set(CLASSES)
    assert all(values[0] == 0 for _, values in store.select("lbkit_requests_total", {}))


def test_the_same_names_as_in_the_list(result: Result) -> None:
    suffixes = ("_bucket", "_sum", "_count")
    found = {
        next((n.removesuffix(s) for s in suffixes if n.endswith(s)), n) for n in metrics_of(result).names
    }
    assert found == {metric.name for metric in OF_RUNS}


def test_rates_and_quantiles_are_those_of_the_result(result: Result) -> None:
    window = 120.0
    store = metrics_of(result)
    (rate,) = Sum(Rate("lbkit_requests_total", window)).at(store, 120).values()
    ended = sum(end <= 120 for end in result.end)
    assert rate == pytest.approx(ended / window)
    (p99,) = Quantile(0.99, "lbkit_request_duration_seconds", window).at(store, 120).values()
    assert p99 == pytest.approx(result.percentile(99), rel=0.35)  # within its bucket


def test_utilisation_is_the_growth_of_service_over_workers(result: Result) -> None:
    store = metrics_of(result)
    busy = Sum(Rate("lbkit_service_duration_seconds_sum", 30))
    (used,) = Ratio(busy, Sum(Value("lbkit_backend_workers"))).at(store, 38).values()
    assert used == pytest.approx(0.6, abs=0.15)


def test_a_server_that_health_takes_out_is_not_up(result: Result) -> None:
    def up(at: float) -> dict[str, float]:
        return {of[0][1]: value for of, value in Value("lbkit_backend_up").at(metrics_of(result), at).items()}

    assert up(35) == {"s1": 1, "s2": 1, "s3": 1}
    assert up(60) == {"s1": 0, "s2": 1, "s3": 1}
    assert up(115) == {"s1": 1, "s2": 1, "s3": 1}


def test_what_comes_and_goes_between_scrapes_is_in_no_gauge(result: Result) -> None:
    store = metrics_of(result, 5.0)
    for of, values in store.select("lbkit_requests_in_flight", {}):
        name = dict(of)["backend"]
        rows = [i for i, b in enumerate(result.backend) if (result.backends[b] if b >= 0 else "none") == name]
        at = 50.0
        flying = sum(result.arrival[i] <= at < result.end[i] for i in rows)
        assert values[10] == flying


def test_connections_are_known_where_a_simulation_has_recorded_them() -> None:
    traffic = Traffic(Poisson(20), 30, clients=8)
    experiment = Experiment(servers(2), traffic, layer4=Layer4("request"), seed=3)
    result = run(experiment, record=True)
    store = metrics_of(result, 1.0)
    relayed = result.extra["relayed"]
    made = Value("lbkit_client_connections_total").at(store, store.times[-1])
    assert made == {(): len(relayed)}
    assert made[()] >= len(result)  # one for each request
    ((_, open_now),) = store.select("lbkit_open_client_connections", {})
    for at, count in enumerate(open_now):
        assert count == sum(one.opened <= at and not one.closed <= at for one in relayed)
    assert "lbkit_client_connections_total" not in metrics_of(run(experiment)).names


def test_an_interval_of_nothing_is_refused(result: Result) -> None:
    with pytest.raises(ValueError, match="every is 0"):
        metrics_of(result, 0)
    assert labels(b="2", a="1") == (("a", "1"), ("b", "2"))
