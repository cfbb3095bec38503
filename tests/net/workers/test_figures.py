"""Reports of several processes as one."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.histogram import bucket, middle
from lbkit.net import Proxy, ProxyConfig
from lbkit.net.filters.stats import Row, StatsFilter
from lbkit.net.workers.figures import EVERY, SAMPLES, History, Ledger, everything, latency, merge_backends
from lbkit.net.workers.report import Process, added_up, sample
from lbkit.net.workers.report import report as whole_report

COUNTS = st.fixed_dictionaries(
    {
        "done": st.integers(0, 99),
        "errors": st.dictionaries(st.sampled_from(["cut off", "status 500"]), st.integers(0, 9)),
        "classes": st.lists(st.integers(0, 9), min_size=3, max_size=3),
    }
)


def report(pid: int, done: int) -> dict[str, Any]:
    return {"pid": pid, "counts": {"backends": {"a": {"done": done}}, "elsewhere": {}}}


def row(state: str, in_flight: int = 0, **more: Any) -> dict[str, Any]:
    plain = {"drain": "ready", "check": None, "breaker": None, "drain_left": None, "held_by": []}
    plain |= {"healthy": state != "down", "gets_requests": state == "up"}
    return {"name": "a", "state": state, "in_flight": in_flight, **plain, **more}


def merged(serving: list[Any], retiring: tuple[Any, ...] = ()) -> dict[str, Any]:
    return merge_backends(
        [{"backends": [one], "changes": []} for one in serving],
        [{"backends": [one], "changes": []} for one in retiring],
    )["a"]


@given(COUNTS, COUNTS, COUNTS)
def test_sums_do_not_depend_on_the_order(one: Any, two: Any, three: Any) -> None:
    before = deepcopy([one, two, three])
    assert added_up([one, two, three]) == added_up([added_up([three, one]), two])
    assert [one, two, three] == before
    assert added_up([one]) == one
    assert added_up([]) == {}


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 9), st.booleans()), max_size=30))
def test_sums_never_shrink_whichever_process_ends(steps: list[tuple[int, int, bool]]) -> None:
    ledger, counts, total, number = Ledger(), {}, 0, 100
    pids = {1: 1, 2: 2, 3: 3}
    for slot, more, ends in steps:
        counts[pids[slot]] = counts.get(pids[slot], 0) + more
        total += more
        sums = ledger.update([report(pid, done) for pid, done in counts.items()], counts)
        assert sums["backends"]["a"]["done"] == total
        if ends:
            del counts[pids[slot]]
            number += 1
            pids[slot] = number
            sums = ledger.update([], counts)
            assert sums["backends"]["a"]["done"] == total


def test_the_worst_state_of_all_processes_counts() -> None:
    both = merged([row("up", 1), row("down", 2, held_by=["check"])])
    assert (both["state"], both["in_flight"], both["held_by"]) == ("down", 3, ["check"])
    assert both["states"] == {"up": 1, "down": 1}
    assert not both["gets_requests"]
    assert merged([row("drained"), row("draining")])["state"] == "draining"
    assert merged([row("up", breaker="half open"), row("blocked", breaker="open")])["breaker"] == "open"


def test_a_backend_drains_while_a_process_of_before_has_requests_there() -> None:
    drained = row("drained", drain="drained")
    assert merged([drained], (row("drained", 1),))["drain"] == "draining"
    assert merged([drained], (row("drained", 0),))["drain"] == "drained"


def test_rates_are_differences_of_sums() -> None:
    history = History(2.0)
    for done in (0, 10, 10, 30):
        history.add({"backends": {"a": {"done": done}}, "elsewhere": {"done": 1}})
    assert history.rates("a")["requests"] == [5, 0, 10]
    assert history.rates("")["requests"] == [5, 0, 10]
    assert history.rates("b")["requests"] == [0, 0, 0]
    assert history.recent("a", {"done": 30})["requests_per_second"] == 5


def test_the_history_is_bounded() -> None:
    history = History(2.0)
    for done in range(2 * SAMPLES):
        history.add({"backends": {"a": {"done": done}}, "elsewhere": {}})
    assert len(history.rates("a")["requests"]) == SAMPLES


def durations(counts: dict[str, int]) -> dict[str, Any]:
    return {"latency": {"counts": counts, "micros": 0}}


def test_quantiles_are_of_the_last_minute() -> None:
    history, slow, fast = History(2.0), bucket(1.0), bucket(0.001)
    for number in range(100):
        row = {"done": 0, "durations": durations({str(slow): 50, str(fast): 10 * max(0, number - 60)})}
        history.add({"backends": {"a": row}, "elsewhere": {}})
    recent = history.recent("a", row)["latency"]
    assert recent["p50"] == recent["p99"] == middle(fast)
    assert history.recent("b", {})["latency"]["p99"] is None


def test_samples_have_a_part_of_the_histograms_each_and_together_all() -> None:
    names = [f"b{i}" for i in range(12)]
    backends = [{"address": f"127.0.0.1:{i}", "name": name} for i, name in enumerate(names, 1)]
    config = ProxyConfig.from_dict({"backends": backends, "admin": {"listen": "127.0.0.1:0"}})
    proxy = Proxy(config=config)
    stats = proxy.filters["stats"]
    assert isinstance(stats, StatsFilter)
    for i, name in enumerate(names):
        row = stats.rows[name] = Row()
        row.classes[2] = i + 1
        for _ in range(i + 1):
            row.latency.add(0.001 * (i + 1))
    process, history, ledger = Process(proxy, proxy.pool, config, {}), History(2.0), Ledger()
    whole = json.loads(json.dumps(whole_report(process)["counts"]))
    for part in range(EVERY):
        one = json.loads(json.dumps(sample(process, part, EVERY)))
        had = [name for name, row in one["counts"]["backends"].items() if "durations" in row]
        assert had == names[part::EVERY]
        assert history.wants_latency == (part == 0)
        sums = ledger.update([one], [one["pid"]], history.wants_latency)
        assert everything(sums)["done"] == 78  # all of them count at once
        history.add(sums)
    assert ledger.update([], [one["pid"]])["backends"] == whole["backends"]
    assert not any("durations" in row for row in ledger.update([], [one["pid"]], False)["backends"].values())
    assert ledger.update([], [])["backends"] == whole["backends"]  # of a process that has ended
    assert latency(whole["backends"]["b11"]) == {bucket(0.012): 12}
