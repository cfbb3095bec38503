from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from needs import need_module

from lbkit import (
    Balancer,
    Closed,
    Experiment,
    Exponential,
    Poisson,
    Policy,
    RateLimit,
    SweepError,
    Traffic,
    replicate,
    run,
    servers,
    sweep,
)
from lbkit.core.limit import Limiter
from lbkit.jobs import Job, Kept, Row, simulate_row, small
from lbkit.sim import theory
from lbkit.stats import interval
from lbkit.sweep import gather, vary

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
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
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


def test_a_learners_own_algorithm_runs_in_this_process() -> None:
    table = sweep(SMALL, over={"policy": [AtHome, "random"]}, progress=False)
    assert table.column("policy") == ["at_home", "random"]
    assert table[0]["fairness"] == 0.25  # all to the first of four
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(ValueError, match=r"at_home' is defined in .*leave the executor away"),
    ):
        sweep(SMALL, over={"policy": [AtHome]}, executor=threads)


def test_a_failure_is_named_and_the_rows_before_it_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(text: str) -> Row:
        experiment = Experiment.from_json(text)
        if experiment.seed == 3:
            raise ZeroDivisionError("oh")
        return simulate_row(text)

    monkeypatch.setattr("lbkit.jobs.simulate_row", simulate)
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(SweepError, match=r"'seed': 3.*ZeroDivisionError: oh") as caught,
    ):
        sweep(SMALL, over={"seed": range(1, 6)}, executor=threads, at_once=1, progress=False)
    assert caught.value.table.column("seed") == [1, 2]
    assert not caught.value.table.complete


# -- a few at a time ---------------------------------------------------------------------------


class Counting(ThreadPoolExecutor):
    """Counts the jobs that were handed out and have not ended."""

    def __init__(self) -> None:
        super().__init__(1)
        self.open = self.most = self.count = 0
        self.interrupts_at = 0

    def submit(self, function, /, *args):
        self.count += 1
        if self.count == self.interrupts_at:
            raise KeyboardInterrupt
        self.open += 1
        self.most = max(self.most, self.open)

        def call():
            self.open -= 1
            return function(*args)

        return super().submit(call)


def test_jobs_are_handed_out_a_few_at_a_time() -> None:
    """Thirty copies of a trace of 200,000 lines must not exist at once."""
    with Counting() as executor:
        table = sweep(SMALL, over={"seed": range(30)}, executor=executor, at_once=3, progress=False)
    assert (len(table), executor.count) == (30, 30)
    assert executor.most <= 3


def test_a_job_is_forgotten_once_its_row_is_there() -> None:
    """Each has a copy of its experiment, which may hold a long trace."""
    made: list[weakref.ref[Job]] = []
    alive: list[int] = []

    def jobs() -> Iterator[Job]:
        for seed in range(12):
            alive.append(sum(job() is not None for job in made))
            job = Job(seed, SMALL.but(seed=seed), {"seed": seed})
            made.append(weakref.ref(job))
            yield job
            del job  # or this generator is what keeps it

    with Counting() as executor:
        assert len(gather(jobs, 12, ("seed",), executor, progress=False, at_once=1)) == 12
    assert max(alive) <= 2


# -- what is kept ------------------------------------------------------------------------------


def test_rows_come_as_runs_finish() -> None:
    seen: list[dict] = []
    table = sweep(SMALL, over={"seed": [1, 2, 3]}, on_row=seen.append, progress=False)
    assert seen == table.rows


def test_an_interrupted_sweep_has_the_rows_so_far() -> None:
    with Counting() as executor:
        executor.interrupts_at = 4
        table = sweep(SMALL, over={"seed": range(9)}, executor=executor, at_once=1, progress=False)
    assert table.column("seed") == [0, 1, 2]
    assert (table.complete, table.total) == (False, 9)
    assert "interrupted: 3 of 9 rows" in table._repr_html_()


def test_a_sweep_that_was_interrupted_is_resumed(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    with Counting() as executor:
        executor.interrupts_at = 4
        sweep(SMALL, over={"seed": range(6)}, executor=executor, at_once=1, progress=False, keep=kept)
    assert len(kept.read_text().splitlines()) == 3
    with open(kept, "a") as file:
        file.write('{"experiment": "cut o')  # the power went
    seen: list[tuple[int, int]] = []
    with Counting() as executor:
        table = sweep(
            SMALL,
            over={"seed": range(6)},
            executor=executor,
            progress=lambda done, of: seen.append((done, of)),
            keep=kept,
        )
    assert executor.count == 3  # the rest
    assert seen[-1] == (6, 6)
    assert table.rows == sweep(SMALL, over={"seed": range(6)}, progress=False).rows
    assert len(kept.read_text().splitlines()) == 6


def test_another_experiment_does_not_get_the_rows_of_this_one(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    first = sweep(SMALL, over={"seed": [1]}, progress=False, keep=kept)
    other = sweep(SMALL.but(duration=6), over={"seed": [1]}, progress=False, keep=kept)
    assert first.rows != other.rows
    assert len(kept.read_text().splitlines()) == 2


def test_own_algorithms_are_run_anew(tmp_path: Path) -> None:
    """Their code may have changed under the same name."""
    kept = tmp_path / "rows.jsonl"
    sweep(SMALL, over={"policy": [AtHome, "random"]}, progress=False, keep=kept)
    (line,) = kept.read_text().splitlines()
    assert '"random"' in line


@pytest.mark.parametrize("text", ["[1]\nbuy milk\n", "buy milk", '{"a": 1}\n', "{}"])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    other = tmp_path / "notes.txt"
    other.write_text(text)
    with pytest.raises(ValueError, match=r"notes\.txt, line 1 is no row of a sweep: choose another file"):
        sweep(SMALL, over={"seed": [1]}, progress=False, keep=other)
    assert other.read_text() == text


def test_much_work_goes_to_processes() -> None:
    big = [Job(0, SMALL.but(duration=2000), {})]
    assert not small(big)
    assert small([Job(0, SMALL, {})])
    assert small([Job(0, SMALL.but(arrivals=Closed(10, think=1.0)), {})])
    assert not small([Job(0, SMALL.but(arrivals=Closed(10, think=0)), {})])  # as fast as they are answered


# -- several seeds -----------------------------------------------------------------------------


def test_means_over_seeds() -> None:
    table = sweep(SMALL, over=GRID, progress=False)
    means = table.means()
    assert [(row["policy"], row["load"]) for row in means] == [
        ("random", 0.5),
        ("random", 0.8),
        ("least_connections", 0.5),
        ("least_connections", 0.8),
    ]
    by_hand = interval(table.where(policy="random", load=0.8).column("p99"))
    assert means[1]["p99"] == by_hand
    assert by_hand.count == 3
    assert f"{by_hand:.4g}" in means._repr_html_()
    with pytest.raises(ValueError, match="'clients' was not varied: there are policy, load, seed"):
        table.means(over="clients")


def test_paired_differences() -> None:
    table = sweep(SMALL, over=GRID, progress=False)
    gaps = table.minus(policy="random")
    assert gaps.column("policy") == ["least_connections"] * 6
    row = gaps.where(load=0.8, seed=2)[0]
    of = {p: table.where(policy=p, load=0.8, seed=2)[0]["mean"] for p in GRID["policy"]}
    assert row["mean"] == of["least_connections"] - of["random"]
    assert row["requests"] == 0  # the very same requests
    assert gaps.means().where(load=0.8)[0]["mean"].high < 0
    with pytest.raises(ValueError, match="there is no row with"):
        table.minus(policy="maglev")


def test_a_table_for_others() -> None:
    table = sweep(SMALL, over={"policy": ["random"], "seed": [1, 2]})
    assert table.to_dict()["seed"] == [1, 2]
    assert ">policy</th>" in table._repr_html_()
    head, first, second = repr(table).splitlines()
    assert (head.split()[:2], first.split()[:2], second.split()[:2]) == (
        ["policy", "seed"],
        ["random", "1"],
        ["random", "2"],
    )
    assert len(head) == len(first) == len(second)
    need_module("pandas")
    assert list(table.to_pandas()["policy"]) == ["random", "random"]


# -- resumed files ---------------------------------------------------------------------------------


def test_another_engine_has_rows_of_its_own(tmp_path: Path) -> None:
    kept, job = tmp_path / "rows.jsonl", Job(0, SMALL, {"seed": 1})
    Kept(kept, "sim").add(job, {"p99": 0.25})
    assert Kept(kept, "sim").find(job) == {"p99": 0.25}
    assert Kept(kept, "live").find(job) is None


def test_a_row_has_the_same_measures_whatever_was_varied_when_it_was_kept(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    sweep(SMALL, {"clients": [SMALL.traffic.clients], "seed": [1, 2]}, progress=False, keep=kept)
    assert list(replicate(SMALL, 2, keep=kept)) == list(replicate(SMALL, 2))
    assert len(kept.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\n", b"\0\0\0\n", b'{"experiment": ["a"], "measures": {}}\n', b'{"experiment": "a"}\n']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    kept = tmp_path / "rows.jsonl"
    sweep(SMALL, {"seed": [1]}, progress=False, keep=kept)
    with open(kept, "ab") as file:
        file.write(line)
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2 is no row of a sweep"):
        sweep(SMALL, {"seed": [1, 2]}, progress=False, keep=kept)


def test_a_file_that_cannot_be_written_is_refused_before_the_first_run(tmp_path: Path) -> None:
    def on_row(row: object) -> None:
        raise AssertionError("nothing is to run")

    with pytest.raises(FileNotFoundError):
        sweep(SMALL, {"seed": [1]}, progress=False, keep=tmp_path / "no" / "rows.jsonl", on_row=on_row)


class EveryOther(Limiter):
    def step(self, state: int | None, now: float, cost: float) -> int | None:
        return None if state == 3 else (state or 0) + 1


@pytest.mark.parametrize(
    "spec", [{"kind": "every_other"}, {"kind": "several", "limits": [{"kind": "every_other"}]}]
)
def test_a_learners_own_limiter_runs_in_this_process(tmp_path: Path, spec: dict) -> None:
    limited = SMALL.but(limits=RateLimit(spec, key="global"))
    much = limited.but(duration=2000, arrivals=Poisson(60))
    assert not small([Job(0, much, {})])  # other work of this size goes to processes
    kept = tmp_path / "rows.jsonl"
    assert sweep(much, {"seed": [1]}, progress=False, keep=kept)[0]["error_rate"] > 0.9
    assert kept.read_text() == ""
    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="every_other' is defined in"):
        sweep(limited, {"seed": [1]}, executor=threads)


def test_an_unknown_column_names_the_likely_one() -> None:
    table = sweep(SMALL, {"seed": [1]}, progress=False)
    with pytest.raises(KeyError, match=r"no column 'throughputt': there are .* did you mean throughput\?"):
        table.column("throughputt")
    with pytest.raises(KeyError, match=r"no column 'sed': .* did you mean seed\?"):
        table.where(sed=1)
