from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import Closed, Constant, Experiment, Exponential, Policy, Result, Server, Traffic, run, servers
from lbkit.result import COLUMNS, DERIVED, jain, percentile
from lbkit.sim import theory
from lbkit.table import TABLE, rows, table

NONE = -1


def result(
    requests: Sequence[dict[str, Any]],
    servers: Sequence[Server] = (Server("a"), Server("b")),
    duration: float = 10.0,
    warmup: float = 0.0,
) -> Result:
    """A result made by hand; what a request does not say is as on an idle server."""
    columns: dict[str, array] = {name: array(code) for name, code in COLUMNS.items()}
    for request in requests:
        row = {"backend": 0, "client": 0, "path": 0, "status": 200, "attempts": 1, **request}
        row.setdefault("start", row["arrival"])
        row.setdefault("service", row["end"] - row["start"])
        for name, column in columns.items():
            column.append(row[name])
    experiment = Experiment(servers, Traffic(duration=duration, warmup=warmup))
    return Result(experiment, "hand", columns)


def answers(*latencies: float, **more: Any) -> list[dict[str, Any]]:
    return [{"arrival": i, "end": i + latency, **more} for i, latency in enumerate(latencies)]


# -- rows ------------------------------------------------------------------------------------


def test_some_of_the_rows() -> None:
    rows = [
        {"arrival": i, "end": i + 1, "client": i % 3, "backend": i % 2, "status": 200 + i} for i in range(9)
    ]
    found = result(rows)
    assert list(found.where(client=1).arrival) == [1, 4, 7]
    assert list(found.where(backend="b", status=lambda s: s > 202).arrival) == [3, 5, 7]
    assert len(found.where(arrival=0.5)) == 0
    assert found.where(client=0).where(client=1).error_rate == 0.0
    with pytest.raises(ValueError, match="no column colour: there are arrival"):
        found.where(colour="red")


def test_a_denied_request_has_no_good_answer() -> None:
    found = result([*answers(1.0, 2.0, 3.0), *answers(0.0, status=429, backend=NONE)])
    assert (found.denied, found.error_rate, found.mean) == (0.25, 0.25, 2.0)
    assert result(answers(1.0, status=404)).error_rate == 0.0


# -- latencies ---------------------------------------------------------------------------

values = st.lists(st.floats(0, 100), min_size=1, max_size=40)


@given(values, st.floats(0, 100))
def test_percentiles_are_numpys(latencies: list[float], q: float) -> None:
    ordered = sorted(latencies)
    assert percentile(ordered, q) == pytest.approx(np.percentile(latencies, q), rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40))
def test_percentiles_are_those_of_the_standard_library(latencies: list[float]) -> None:
    ordered = sorted(latencies)
    cuts = quantiles(latencies, n=100, method="inclusive")
    assert [percentile(ordered, q) for q in range(1, 100)] == pytest.approx(cuts, rel=1e-9, abs=1e-9)


@given(values, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_rise(latencies: list[float], p: float, q: float) -> None:
    ordered = sorted(latencies)
    low, high = sorted([p, q])
    assert ordered[0] <= percentile(ordered, low) <= percentile(ordered, high) + 1e-9
    assert percentile(ordered, 100) == ordered[-1]


@pytest.mark.parametrize("q", [-1, 101, math.nan])
def test_wrong_percentiles(q: float) -> None:
    with pytest.raises(ValueError, match="percentiles go from 0 to 100"):
        percentile([1.0], q)


def test_latency_of_good_answers_only() -> None:
    r = result(
        [
            {"arrival": 0, "end": 1},
            {"arrival": 1, "end": 4, "backend": 1},
            {"arrival": 2, "end": 3, "status": 404, "backend": 1},  # the client's mistake, well answered
            {"arrival": 3, "end": 99, "status": 500},
            {"arrival": 4, "end": 99, "status": 503, "backend": NONE},
            {"arrival": 5, "end": 99, "status": 0, "backend": NONE},
        ]
    )
    assert r.latencies() == [1, 1, 3]
    assert r.latencies("b") == [1, 3]
    assert r.mean == pytest.approx(5 / 3)
    assert (r.percentile(0), r.percentile(50), r.percentile(100)) == (1, 1, 3)
    assert r.throughput == pytest.approx(0.3)
    assert r.error_rate == pytest.approx(0.5)
    with pytest.raises(ValueError, match="x"):
        r.latencies("x")


def test_the_warmup_is_left_out() -> None:
    r = result(answers(5, 5, 1, 2), duration=4, warmup=2)
    assert r.counted == [False, False, True, True]
    assert r.latencies() == [1, 2]
    assert (r.window, sum(r.counts.values())) == (2, 2)
    assert r.throughput == 0.5  # ends at 5, 6, 3 and 5: one within the window from 2 to 4


def test_throughput_counts_what_ended_in_the_window() -> None:
    ends = [
        {"arrival": 0, "end": 1},  # before
        {"arrival": 1, "end": 3},  # arrived before, ended in it
        {"arrival": 4, "end": 5},
        {"arrival": 5, "end": 6, "status": 500},  # no good answer
        {"arrival": 9, "end": 11},  # after
    ]
    assert result(ends, warmup=2).throughput == 2 / 8


def test_throughput_never_exceeds_capacity() -> None:
    """One server of 50/s at load 5: it reported 250/s, as requests were counted by arrival."""
    one = Experiment(servers(1, service=Exponential(0.02)), Traffic(duration=30, warmup=5)).at_load(5)
    assert run(one).throughput == pytest.approx(50, rel=0.1)


def test_throughput_of_a_closed_loop() -> None:
    """Two users, a second of thinking and 4 s of work in turn: 0.25 answers a second."""
    few = Traffic(Closed(2, think=1.0), duration=400, warmup=40)
    assert run(Experiment(servers(1, service=Constant(4)), few)).throughput == pytest.approx(0.25, abs=0.005)
    # A run of a few answers: one user, answers of 10 s, a window of 10 s. One of two arrivals ends in it.
    ends = [{"arrival": 1, "end": 4}, {"arrival": 4.5, "end": 9}, {"arrival": 9.5, "end": 12}]
    assert result(ends).throughput == 0.2


# -- shares --------------------------------------------------------------------------------


def test_counts_and_shares() -> None:
    r = result([*answers(1, 1, 1), *answers(1, backend=1), *answers(1, backend=NONE, status=503)])
    assert r.counts == {"a": 3, "b": 1}
    assert r.shares == {"a": 0.75, "b": 0.25}
    assert r.fairness() == pytest.approx(16 / (2 * 10))


def test_fairness_by_capacity() -> None:
    r = result([*answers(1, 1, 1), *answers(1, backend=1)], servers=[Server("a", speed=3), Server("b")])
    assert r.fairness(by_capacity=True) == pytest.approx(1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(lambda loads: max(loads) > 1e-100))
def test_jain(loads: list[float]) -> None:
    index = jain(loads)
    assert 1 / len(loads) - 1e-9 <= index <= 1 + 1e-9


def test_jain_known() -> None:
    assert jain([1, 1, 1, 1]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([3, 1]) == pytest.approx(0.8)
    assert math.isnan(jain([0, 0]))


def test_utilisation_counts_work_within_the_window() -> None:
    r = result(
        [
            {"arrival": 0, "end": 3},  # 1 s of it after the warm-up
            {"arrival": 2, "start": 4, "end": 7, "service": 3},  # waited first
            {"arrival": 9, "end": 14},  # 1 s of it before the end
            {"arrival": 5, "end": 5, "start": math.nan, "service": 0, "status": 503, "backend": NONE},
            {"arrival": 5, "end": 9, "backend": 1},
        ],
        servers=[Server("a"), Server("b", workers=2)],
        warmup=2,
    )
    assert r.utilisation == {"a": pytest.approx(5 / 8), "b": pytest.approx(4 / 16)}
    assert r.summary()["busiest"] == pytest.approx(5 / 8)


# -- over time -----------------------------------------------------------------------------


def test_in_flight() -> None:
    r = result(
        [
            {"arrival": 0, "end": 2},
            {"arrival": 0.5, "end": 1.5},
            {"arrival": 1, "end": 1.2, "backend": 1},
            {"arrival": 2.1, "end": 2.9, "backend": 1},  # between two looks
            {"arrival": 1, "end": 3, "backend": NONE, "status": 0},
        ]
    )
    times, levels = r.in_flight(1)
    assert times == [0, 1, 2, 3]
    assert levels == {"a": [1, 2, 0, 0], "b": [0, 1, 0, 0]}


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=20), st.sampled_from([0.25, 1.0, 2.0]))
def test_in_flight_by_counting(requests: list[tuple[float, float]], step: float) -> None:
    r = result([{"arrival": a, "end": a + d} for a, d in requests])
    times, levels = r.in_flight(step)
    assert levels["a"] == [sum(a <= t < a + d for a, d in requests) for t in times]


def test_over_time() -> None:
    r = result([*answers(1, 2, 3, 4), {"arrival": 1.5, "end": 7.5}, {"arrival": 3, "end": 4, "status": 500}])
    starts, worst = r.over_time(2, max)
    assert starts == [0, 2, 4, 6, 8]
    assert worst[:2] == [6, 4]
    assert all(math.isnan(v) for v in worst[2:])


@pytest.mark.parametrize(
    ("duration", "step", "steps"), [(10, 1, 10), (10, 3, 4), (1.1, 0.1, 11), (0.3, 0.1, 3), (1, 5, 1)]
)
def test_as_many_steps_as_the_duration_has(duration: float, step: float, steps: int) -> None:
    starts, values = result(answers(0.1), duration=duration).over_time(step, len)
    assert len(starts) == len(values) == steps


def test_littles_law_is_no_identity() -> None:
    """L is what is in the system within the window, W how long those stay that arrive in it."""
    r = result([{"arrival": 0, "end": 2}, {"arrival": 1, "end": 4}], duration=10)
    assert r.littles_law() == (pytest.approx(0.5), pytest.approx(0.5))
    late = result([{"arrival": 1, "end": 4}, {"arrival": 9, "end": 15}], duration=10, warmup=2)
    assert late.littles_law() == (pytest.approx((2 + 1) / 8), pytest.approx(6 / 8))
    assert result([{"arrival": 0, "end": 0, "status": 503, "backend": NONE}]).littles_law() == (0, 0)


def test_littles_law_of_a_run() -> None:
    """It holds in a steady state, and not where queues grow."""
    steady = Experiment(servers(3), Traffic(duration=400, warmup=50), policy="random").at_load(0.7)
    level, rate_times_wait = run(steady).littles_law()
    assert level == pytest.approx(rate_times_wait, rel=0.02)
    assert level != rate_times_wait
    level, rate_times_wait = run(steady.at_load(1.5)).littles_law()
    assert rate_times_wait > 1.2 * level


def test_waiting_and_slowdown() -> None:
    r = result(
        [
            {"arrival": 0, "start": 1, "end": 3, "service": 2},
            {"arrival": 1, "start": 1, "end": 2, "service": 1},
            {"arrival": 2, "end": 2, "start": math.nan, "service": 0, "status": 503, "backend": NONE},
        ]
    )
    assert same(list(r.waiting), [1, 0, math.nan])
    assert same(list(r.slowdown), [1.5, 1, math.nan])
    assert list(r.latency) == [3, 1, 0]
    assert (r.mean_of("waiting"), r.mean_of("slowdown")) == (0.5, 1.25)
    assert len(r.where(waiting=lambda seconds: seconds > 0.5)) == 1


def test_waiting_is_that_of_theory() -> None:
    one = Experiment(servers(1, service=Exponential(1.0)), Traffic(duration=60_000, warmup=1000)).at_load(0.7)
    assert run(one).mean_of("waiting") == pytest.approx(theory.mmc_wait(1, 0.7), rel=0.05)


# -- tables and files ------------------------------------------------------------------------


def test_a_result_without_requests() -> None:
    r = result([])
    assert len(r) == 0
    assert math.isnan(r.mean)
    assert math.isnan(r.percentile(99))
    assert (r.throughput, r.error_rate, r.counts) == (0, 0, {"a": 0, "b": 0})
    assert math.isnan(r.fairness())
    assert r.shares == r.utilisation == {"a": 0, "b": 0}
    assert r.in_flight(1) == ([0], {"a": [0], "b": [0]})
    assert r.littles_law() == (0, 0)
    assert len(rows([r])[0]) == len(TABLE)
    assert "nan" not in table([r])
    assert "0 requests" in repr(r)


def test_errors_alone_say_nothing_about_fairness() -> None:
    r = result(answers(0.01, 0.02, 0.03, status=500))
    assert dict(zip(TABLE, rows([r])[0], strict=True))["fair by count"] == "-"
    assert "no good answers: there is no latency and no fairness to judge" in r.warnings


def test_summary_and_rows() -> None:
    r = result(answers(0.010, 0.020, 0.030))
    summary = r.summary()
    assert (summary["policy"], summary["engine"], summary["requests"]) == ("round_robin", "hand", 3)
    assert summary["p50"] == pytest.approx(0.020)
    assert dict(zip(TABLE, rows([r])[0], strict=True)) == {
        "policy": "round_robin",
        "engine": "hand",
        "requests": "3",
        "req/s": "0",
        "good/s": "0",
        "errors %": "0.00",
        "mean": "20 ms",
        "wait": "0 µs",
        "slowdown": "1",
        "p50": "20 ms",
        "p95": "29 ms",
        "p99": "29.8 ms",
        "p99.9": "30 ms",
        "fair by count": "0.500",
        "fair by capacity": "0.500",
        "busiest %": "1",
    }
    first, *warnings = repr(r).splitlines()
    assert first == "<Result round_robin on hand: 3 requests, mean 20 ms, p99 29.8 ms, 0.00% errors>"
    assert warnings == [f"  warning: {text}" for text in r.warnings] != []
    assert "mean 20 s, p99 20 s, 0.00% errors>" in repr(result([{"arrival": 0, "end": 20}]))
    assert "mean -, p99 -, 100.00% errors>" in repr(result([{"arrival": 0, "end": 1, "status": 500}]))


def test_the_table_is_html() -> None:
    html = table([result(answers(1)), result(answers(2))])
    assert html.count("<tr>") == 3
    assert html.count("<th ") == len(TABLE) - 2  # all on one engine, and all in time
    assert result(answers(1))._repr_html_() == table([result(answers(1))])


MIXED = [
    {"arrival": 0.1, "end": 0.3},
    {"arrival": 1 / 3, "end": 2 / 3, "backend": 1, "client": 5, "path": 7},
    {
        "arrival": 1,
        "end": 1,
        "start": math.nan,
        "service": 0,
        "backend": NONE,
        "status": 0,
        "attempts": 2,
    },
]


def same(a: list[Any], b: list[Any]) -> bool:
    return a == b or all(x == y or (x != x and y != y) for x, y in zip(a, b, strict=True))


def test_csv_and_back(tmp_path: Path) -> None:
    r = result(MIXED)
    r.to_csv(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == [*COLUMNS, *DERIVED]
    assert [row["backend"] for row in read] == ["a", "b", ""]
    for name in ("arrival", "start", "end", "service"):
        assert same([float(row[name]) for row in read], list(r.columns[name]))  # to the last bit
    for name in ("client", "path", "status", "attempts"):
        assert [int(row[name]) for row in read] == list(r.columns[name])


def test_parquet_and_back(tmp_path: Path) -> None:
    import pandas as pd

    frame = result(MIXED).to_pandas()
    assert list(frame.columns) == [*COLUMNS, *DERIVED]
    assert frame["backend"].isna().tolist() == [False, False, True]
    frame.to_parquet(tmp_path / "r.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "r.parquet"), frame)


def test_columns_are_attributes() -> None:
    r = result(MIXED)
    assert r.client is r.columns["client"]
    assert r.policy == Policy().algorithm
    with pytest.raises(AttributeError, match="a Result has no 'colour'"):
        _ = r.colour


def test_wrong_columns() -> None:
    columns = {name: array(code) for name, code in COLUMNS.items()}
    experiment = Experiment([Server("a")])
    with pytest.raises(ValueError, match="a result needs columns arrival, start"):
        Result(experiment, "hand", {name: c for name, c in columns.items() if name != "end"})
    with pytest.raises(ValueError, match="of one length"):
        Result(experiment, "hand", columns | {"end": array("d", [1.0])})


def test_it_can_be_sent_to_another_process() -> None:
    import pickle

    r = result(MIXED)
    again = pickle.loads(pickle.dumps(r))
    assert (again.experiment, again.columns["end"], again.mean) == (r.experiment, r.columns["end"], r.mean)


@pytest.mark.parametrize("load", [0.5, 2.0])
def test_processor_sharing_keeps_workers_busy_as_fifo_does(load: float) -> None:
    """Requests that share a worker take longer than their service times; it does not do more work."""
    one = Experiment(servers(1), Traffic(duration=50, warmup=5)).at_load(load)
    shared = one.but(servers=servers(1, discipline="processor_sharing"))
    fifo, sharing = (run(e).utilisation["s1"] for e in (one, shared))
    assert sharing == pytest.approx(fifo, abs=0.005)  # not 2.0 at load 2
    assert sharing == pytest.approx(min(load, 1.0), abs=0.05)


@pytest.mark.parametrize("step", [0, -1, math.nan, "x", 1e-12])
def test_a_step_that_is_none_or_too_short_is_named(step: Any) -> None:
    found = result(answers(1.0))
    with pytest.raises(ValueError, match=r"step is .*: use a number at least"):
        found.in_flight(step)
    with pytest.raises(ValueError, match=r"step is .*: use a number at least"):
        found.over_time(step, max)


def test_an_unknown_backend_or_column_names_the_likely_one() -> None:
    found = result(answers(1.0), [Server("alpha"), Server("beta")])
    with pytest.raises(ValueError, match=r"no backend 'alpa': there are alpha, beta; did you mean alpha\?"):
        found.latencies("alpa")
    with pytest.raises(ValueError, match="no backend 'c'"):
        found.where(backend="c")
    with pytest.raises(ValueError, match=r"did you mean status\?"):
        found.where(statuss=200)
