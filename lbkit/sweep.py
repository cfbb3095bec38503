"""Many simulations at once: an experiment over a grid of values, on all cores or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from attrs import fields

from lbkit import needs
from lbkit.checks import several
from lbkit.core.options import named_options, whole
from lbkit.core.text import did_you_mean, shown
from lbkit.experiment import Experiment, Server, Traffic, check_experiment
from lbkit.jobs import Job, JobError, Kept, run_all
from lbkit.rows import Table
from lbkit.tier import with_fields

_SERVER = {f.name for f in fields(Server)} - {"name"}
_NAMES = ["load", *(f.name for cls in (Experiment, Traffic) for f in fields(cls))]


class SweepError(RuntimeError):
    """One of the experiments failed; names it. `table` has the rows that were finished before."""

    def __init__(self, message: str, table: Table) -> None:
        super().__init__(message)
        self.table = table


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
            experiment = experiment.but(servers=with_fields(experiment.servers, **{field: value}))
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


@named_options
def sweep(
    experiment: Experiment,
    over: Mapping[str, Iterable[Any]],
    executor: Executor | None = None,
    progress: bool | Callable[[int, int], object] = True,
    *,
    keep: str | Path | None = None,
    on_row: Callable[[Mapping[str, Any]], object] | None = None,
    at_once: int | None = None,
) -> Table:
    """Simulate every combination of the values in `over` (see `vary`); return a row for each, in order.

    >>> sweep(experiment, over={"policy": ["random", "power_of_two"], "load": [0.5, 0.9], "seed": range(5)})

    `executor`: anything with `submit`, such as `distributed.Client(...).get_executor()`; the cores of this
    machine by default, or this process for little work and for algorithms of your own. `at_once`: how many
    jobs are handed out before the first is done, twice the cores of this machine by default; a cluster wants
    twice its own. `progress`: a bar, none, or a function that is called with (done, all) after each.

    Rows come as runs finish: `on_row` is called with each. `keep`: a file (JSON Lines) that gets each row at
    once; the same sweep, started again with it, runs only what is missing. An interrupt ends the sweep, and
    the table has the rows so far (`complete` is False then).

    Raises ValueError for a wrong name or value, SweepError when a run fails, with the rows so far in its
    `table`; runs that have not begun are then cancelled."""
    check_experiment(experiment)
    if not isinstance(over, Mapping):
        raise ValueError(f'over is {shown(over)}: use names and their values, such as {{"load": [0.5, 0.9]}}')
    values = {str(name): several(options) for name, options in over.items()}
    total = prod(map(len, values.values()))

    def jobs() -> Iterator[Job]:
        for place, combination in enumerate(product(*values.values())):
            chosen = dict(zip(values, combination, strict=True))
            yield Job(place, vary(experiment, chosen), {n: _label(v) for n, v in chosen.items()})

    return gather(jobs, total, tuple(values), executor, progress, keep=keep, on_row=on_row, at_once=at_once)


def gather(
    jobs: Callable[[], Iterator[Job]],
    total: int,
    varied: Sequence[str],
    executor: Executor | None = None,
    progress: bool | Callable[[int, int], object] = True,
    *,
    keep: str | Path | None = None,
    on_row: Callable[[Mapping[str, Any]], object] | None = None,
    at_once: int | None = None,
    on: str = "sim",
) -> Table:
    """Run the jobs that `jobs` makes and return their rows, in order of their places. As `sweep`."""
    rows: dict[int, dict[str, Any]] = {}
    if executor is not None and not hasattr(executor, "submit"):
        raise ValueError(f"executor is {shown(executor)}: use an Executor, which has `submit`")
    if at_once is not None:
        whole(1, at_once=at_once)

    def table() -> Table:
        return Table((rows[place] for place in sorted(rows)), varied, total)

    found = run_all(jobs, Kept(keep, on), executor, at_once, on)
    try:
        with _progress(progress, total) as on_done, closing(found):
            for job, row in found:
                rows[job.place] = dict(job.values) | row
                on_done(len(rows), total)
                if on_row:
                    on_row(rows[job.place])
    except KeyboardInterrupt:
        if not rows:
            raise
    except JobError as error:
        raise SweepError(str(error), table()) from error.error
    return table()


@contextmanager
def _progress(
    progress: bool | Callable[[int, int], object], total: int
) -> Iterator[Callable[[int, int], object]]:
    """Yield the function to call when a run ends."""
    if callable(progress):
        yield progress
    elif not progress or needs.IN_A_BROWSER:  # the bar is drawn by a thread
        yield lambda done, of: None
    else:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("simulating", total=total)
            yield lambda done, of: bar.update(task, completed=done)


def _label(value: Any) -> Any:
    """Return the value as the table shows it: a plain value, or a name or text for another."""
    if isinstance(value, type):
        return getattr(value, "name", value.__name__)
    if hasattr(value, "algorithm"):
        return value.algorithm
    return value if isinstance(value, str | int | float | bool) else repr(value)
