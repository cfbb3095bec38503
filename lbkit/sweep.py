"""Many simulations at once: an experiment over a grid of values, on all cores or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from itertools import product
from typing import Any

from attrs import evolve, fields

from lbkit.checks import several
from lbkit.core import algorithms
from lbkit.core.text import did_you_mean
from lbkit.experiment import Experiment, Server, Traffic
from lbkit.result import Result
from lbkit.run import engine

PERCENTILES = (50, 90, 99, 99.9)

_SERVER = {f.name for f in fields(Server)} - {"name"}
_NAMES = ["load", *(f.name for cls in (Experiment, Traffic) for f in fields(cls))]


class SweepError(RuntimeError):
    """One of the experiments failed; names it."""


class Table(Sequence[Mapping[str, Any]]):
    """The result of a sweep: a row for each experiment, first its values, then the measures."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows = [dict(row) for row in rows]

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def column(self, name: str) -> list[Any]:
        """Return one column. Raises KeyError for an unknown one."""
        return [row[name] for row in self.rows]

    def where(self, **values: Any) -> Table:
        """Return the rows with these values."""
        return Table(row for row in self.rows if all(row[name] == value for name, value in values.items()))

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns, as pandas, pyarrow and polars take them."""
        return {name: self.column(name) for name in self.rows[0]} if self.rows else {}

    def to_pandas(self) -> Any:
        """Return a DataFrame. Raises ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in (self.rows[0] if self.rows else ()))
        body = "".join(
            "<tr>" + "".join(f"<td>{_short(value)}</td>" for value in row.values()) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def vary(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Return a copy of the experiment with other values.

    A name is `load`, a field of the experiment (policy, seed) or of its traffic (duration, clients,
    arrivals), or a field of all its servers, as `servers.workers`. Raises ValueError for an unknown name."""
    last: dict[str, Any] = {}
    for name, value in values.items():
        if name == "load":
            last[name] = value  # last, as it depends on the capacity of the servers
        elif name.startswith("servers."):
            field = name.removeprefix("servers.")
            if field not in _SERVER:
                near = did_you_mean(field, _SERVER)
                raise ValueError(f"no {name!r} to vary: a server has {', '.join(sorted(_SERVER))}" + near)
            experiment = experiment.but(servers=[evolve(s, **{field: value}) for s in experiment.servers])
        else:
            try:
                experiment = experiment.but(**{name: value})
            except TypeError:
                near = did_you_mean(name, _NAMES)
                raise ValueError(
                    f"no {name!r} to vary: use load, policy, seed, a field of Traffic, or servers.FIELD"
                    + near
                ) from None
    return experiment.at_load(last["load"]) if last else experiment


def measures(result: Result) -> dict[str, Any]:
    """Return the measures of a result, each a number."""
    row = {"requests": len(result), "mean": result.mean}
    row |= {f"p{q:g}": result.percentile(q) for q in PERCENTILES}
    return row | {
        "throughput": result.throughput,
        "error_rate": result.error_rate,
        "fairness": result.fairness(),
    }


def simulate_row(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Run one experiment, given as JSON, in a worker process; return only numbers."""
    return dict(values) | measures(engine("sim")(Experiment.from_json(text)))


def sweep(
    experiment: Experiment,
    over: Mapping[str, Iterable[Any]],
    executor: Executor | None = None,
    progress: bool | Callable[[int, int], object] = True,
) -> Table:
    """Simulate every combination of the values in `over` (see `vary`); return a row for each, in order.

    >>> sweep(experiment, over={"policy": ["random", "power_of_two"], "load": [0.5, 0.9], "seed": range(5)})

    `executor`: anything with `submit`, such as `distributed.Client(...).get_executor()`; all cores of this
    machine by default. `progress`: a bar, none, or a function that is called with (done, all) after each.
    Raises ValueError for a wrong name or value, SweepError when a run fails; runs not yet begun are then
    cancelled."""
    names = list(over)
    grid = [dict(zip(names, values, strict=True)) for values in product(*(several(over[n]) for n in names))]
    jobs = [(vary(experiment, values), {n: _label(v) for n, v in values.items()}) for values in grid]
    for job, _ in jobs:
        where = algorithms()[job.policy.algorithm].__module__
        if not where.startswith("lbkit."):
            raise ValueError(
                f"algorithm {job.policy.algorithm!r} is defined in {where}, which workers do not have: "
                "use compare, which runs in this process"
            )
    with _progress(progress, len(jobs)) as on_done:
        if executor:
            return _gather(executor, jobs, on_done)
        from lbkit.processes import Processes  # imported here, as a browser's Python has no processes

        with Processes(max(1, min(os.cpu_count() or 1, len(jobs)))) as pool:
            return _gather(pool, jobs, on_done)


@contextmanager
def _progress(
    progress: bool | Callable[[int, int], object], total: int
) -> Iterator[Callable[[int, int], object]]:
    """Yield the function to call when a run ends."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, of: None
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("simulating", total=total)
            yield lambda done, of: bar.update(task, completed=done)


def _gather(
    executor: Executor,
    jobs: Sequence[tuple[Experiment, dict[str, Any]]],
    on_done: Callable[[int, int], object],
) -> Table:
    futures: dict[Future[dict[str, Any]], int] = {
        executor.submit(simulate_row, job.to_json(), values): i for i, (job, values) in enumerate(jobs)
    }
    rows: list[dict[str, Any]] = [{} for _ in jobs]
    try:
        for done, future in enumerate(as_completed(futures), 1):
            i = futures[future]
            try:
                rows[i] = future.result()
            except Exception as error:
                raise SweepError(f"{jobs[i][1]}: {type(error).__name__}: {error}") from error
            on_done(done, len(jobs))
    finally:
        for future in futures:
            future.cancel()
    return Table(rows)


def _label(value: Any) -> Any:
    """Return the value as the table shows it: a plain value, or a name or text for another."""
    if isinstance(value, type):
        return getattr(value, "name", value.__name__)
    if hasattr(value, "algorithm"):
        return value.algorithm
    return value if isinstance(value, str | int | float | bool) else repr(value)
