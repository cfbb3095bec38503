from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from needs import need_module

from lbkit import Balancer, Experiment, Exponential, Policy, SweepError, Traffic, run, servers, sweep
from lbkit.sim import theory
from lbkit.sweep import vary

SMALL = Experiment(servers(4, service=Exponential(0.02)), Traffic(duration=5))
GRID = {"policy": ["random", "least_connections"], "load": [0.5, 0.8], "seed": range(1, 4)}


def test_every_combination_in_order() -> None:
    seen: list[tuple[int, int]] = []
    table = sweep(SMALL, over=GRID, progress=lambda done, of: seen.append((done, of)))
    assert len(table) == 12
    assert [row["policy"] for row in table] == ["random"] * 6 + ["least_connections"] * 6
    assert [(row["load"], row["seed"]) for row in table[:4]] == [(0.5, 1), (0.5, 2), (0.5, 3), (0.8, 1)]
    assert seen == [(i, 12) for i in range(1, 13)]
    # Each row is what a run by hand gives.
    row = table.where(policy="random", load=0.8, seed=2)[0]
    by_hand = run(SMALL.but(policy="random", seed=2).at_load(0.8))
    assert row["mean"] == by_hand.mean
    assert row["p99.9"] == by_hand.percentile(99.9)
    assert row["requests"] == len(by_hand)


def test_the_same_on_every_executor() -> None:
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        tables = [sweep(SMALL, over=GRID, executor=e).rows for e in (None, threads, processes)]
    assert tables[0] == tables[1] == tables[2]


def test_on_a_dask_cluster() -> None:
    need_module("distributed")
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        table = sweep(SMALL, over=GRID, executor=client.get_executor())
        pids = client.run(os.getpid)
    assert len(set(pids.values())) == 2
    assert os.getpid() not in pids.values()
    assert table.rows == sweep(SMALL, over=GRID).rows


def test_theory_over_a_grid() -> None:
    """The supermarket curve, from one call."""
    hundred = Experiment(servers(100, service=Exponential(1.0)), Traffic(duration=150, warmup=50))
    table = sweep(hundred.but(policy="power_of_two"), over={"load": [0.5, 0.7, 0.9]})
    for row in table:
        assert row["mean"] == pytest.approx(theory.supermarket_time(row["load"], 2), rel=0.08)


def test_what_can_be_varied() -> None:
    varied = vary(SMALL, {"load": 0.5, "servers.workers": 2, "clients": 7, "policy": Policy("random")})
    assert varied.load == pytest.approx(0.5)  # of what two workers each can do
    assert {s.workers for s in varied.servers} == {2}
    assert varied.traffic.clients == 7
    with pytest.raises(ValueError, match=r"no 'servers\.colour' to vary: a server has"):
        vary(SMALL, {"servers.colour": 1})
    with pytest.raises(ValueError, match="no 'colour' to vary: use load, policy"):
        vary(SMALL, {"colour": 1})
    with pytest.raises(ValueError, match=r"no 'durations' to vary: .*; did you mean duration\?"):
        vary(SMALL, {"durations": 1})
    with pytest.raises(ValueError, match=r"no 'servers.worker' to vary: .*; did you mean workers\?"):
        vary(SMALL, {"servers.worker": 1})


def test_one_value_is_a_list_of_one() -> None:
    table = sweep(SMALL, over={"policy": "random", "load": 0.5}, progress=False)
    assert [(row["policy"], row["load"]) for row in table] == [("random", 0.5)]


class AtHome(Balancer):
    def pick(self, backends, key, now):
        return backends[0]


def test_a_learners_own_algorithm_stays_at_home() -> None:
    with pytest.raises(ValueError, match=r"at_home' is defined in .*use compare"):
        sweep(SMALL, over={"policy": [AtHome]})


def test_a_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text, values):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(sys.modules["lbkit.sweep"], "simulate_row", broken)
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(SweepError, match=r"'load': 0\.5.*ZeroDivisionError: oh"),
    ):
        sweep(SMALL, over={"load": [0.5]}, executor=threads)


def test_a_table_for_others() -> None:
    table = sweep(SMALL, over={"policy": ["random"], "seed": [1, 2]})
    assert table.to_dict()["seed"] == [1, 2]
    assert "<th>policy</th>" in table._repr_html_()
    need_module("pandas")
    assert list(table.to_pandas()["policy"]) == ["random", "random"]
