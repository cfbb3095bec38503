from __future__ import annotations

from needs import need_module

need_module("anywidget")

from lbkit import Constant, Experiment, servers
from lbkit.alerts import burn_rate, high_error_rate, high_latency, server_down
from lbkit.metrics.names import REQUESTS, UP
from lbkit.metrics.rolling import Rolling
from lbkit.metrics.store import labels
from lbkit.viz.dashboard.lamps import (
    FIRES,
    FIRING,
    NO_DATA,
    OVER,
    PENDING,
    QUIET,
    Lamps,
    Note,
    usual_rules,
    windows,
)

DOWN = labels(backend="s1")


def test_a_lamp_goes_from_quiet_to_pending_to_firing_and_back_and_says_so() -> None:
    lamps, store = Lamps([server_down(lasts=2)]), Rolling(60)
    seen, notes = [], []
    for at, up in enumerate((1, 0, 0, 0, 0, 1)):
        store.scrape(at, {UP.name: {DOWN: up}})
        notes += lamps.step(store, at)
        seen += lamps.states
    assert seen == [QUIET, PENDING, PENDING, FIRING, FIRING, QUIET]
    assert notes == [Note(3, "ServerDown (s1)", FIRES), Note(5, "ServerDown (s1)", OVER)]


def test_a_rule_that_asks_for_what_is_not_told_has_no_data_and_never_is_quiet() -> None:
    lamps, store = Lamps([high_latency(0.1), high_error_rate(), server_down()]), Rolling(60)
    for at in range(3):
        store.scrape(at, {REQUESTS.name: {(): 10 * at}})  # as nginx: a sum without labels
        assert lamps.step(store, at) == []
        assert lamps.states == [NO_DATA] * 3


def test_an_error_rate_is_known_once_there_are_two_scrapes() -> None:
    lamps, store = Lamps([high_error_rate(window=10, lasts=0)]), Rolling(60)
    states = []
    for at in range(3):
        codes = {"2xx": 10 * at, "5xx": at * (at > 1)}
        store.scrape(at, {REQUESTS.name: {labels(backend="s1", code=c): n for c, n in codes.items()}})
        lamps.step(store, at)
        states += lamps.states
    assert states == [NO_DATA, QUIET, FIRING]


def test_windows_are_those_of_all_queries_of_a_rule() -> None:
    assert sorted(set(windows(burn_rate(scale=1 / 60)[0]))) == [5, 60]
    assert windows(server_down()) == []
    assert Lamps(burn_rate(scale=1 / 60)).window == 4320


def test_the_usual_limit_of_latency_is_ten_times_the_work_of_a_request() -> None:
    rules = usual_rules(Experiment(servers(2, service=Constant(0.02))))
    latency = next(rule for rule in rules if rule.name == "HighLatency")
    assert latency.conditions[0].limit == 0.2
    assert [rule.name for rule in rules] == ["HighErrorRate", "HighLatency", "ServerDown", "FewWorkersLeft"]
