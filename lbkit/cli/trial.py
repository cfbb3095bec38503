"""The experiment that a command line describes, and the policies that it names."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from attrs import evolve

from lbkit.core import Balancer
from lbkit.experiment import Experiment, Policy, servers

SPEEDS = (1.0, 1.0, 1.0, 0.5)  # of the servers by default: a slow one tells policies apart
LOAD = 0.8
AN_ALGORITHM = "An algorithm, or a class of yours, as mine.py:MyAlgorithm"

File = Annotated[Path | None, typer.Argument(metavar="EXPERIMENT.toml", help="A .toml or .json file.")]
Servers = Annotated[
    int | None, typer.Option("--servers", min=1, help="Number of equal servers (without a file).")
]


def experiment_of(
    file: Path | None,
    number: int | None = None,
    load: float | None = None,
    duration: float | None = None,
    seed: int | None = None,
) -> Experiment:
    """Return the file's experiment, or the default one, with the changes of the options.

    Raises ValueError, OSError."""
    if file is not None:
        if number is not None:
            raise ValueError("--servers: the file says which servers there are; give only one of the two")
        experiment = Experiment.load_file(file)
    else:
        alike = number is not None
        experiment = Experiment(servers(number or 0) if alike else servers(len(SPEEDS), speed=SPEEDS))
        load = LOAD if load is None else load
    if duration is not None:
        experiment = experiment.but(duration=duration)
    if seed is not None:
        experiment = experiment.but(seed=seed)
    return experiment if load is None else experiment.at_load(load)


def policies_of(experiment: Experiment, names: Sequence[str]) -> list[Policy]:
    """Return a policy for each algorithm, with the retries and the key of the experiment's own policy.

    Raises ValueError, and OSError for a file of an algorithm that cannot be read."""
    own = experiment.policy
    wanted = [_algorithm(name) for name in names]
    return [own if name == own.algorithm else evolve(own, algorithm=name, options={}) for name in wanted]


def _algorithm(name: str) -> str:
    """Return the name of an algorithm; of mine.py:MyAlgorithm the class's, after running the file."""
    file, colon, wanted = name.rpartition(":")
    if not colon:
        return name
    if not file.endswith(".py"):
        raise ValueError(f"policy {name}: give the file and the class, as mine.py:MyAlgorithm")
    try:
        found = runpy.run_path(file)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"policy {name}: {file} cannot be run: {type(error).__name__}: {error}") from error
    chosen = found.get(wanted)
    if not (isinstance(chosen, type) and issubclass(chosen, Balancer)):
        own = [n for n, v in found.items() if isinstance(v, type) and v.__module__ == "<run_path>"]
        raise ValueError(
            f"policy {name}: {file} has no algorithm {wanted}: there is {', '.join(own) or 'none'}"
        )
    return chosen.name


def title_of(experiment: Experiment, on: str) -> str:
    """Return a line about an experiment and the engine that runs it."""
    load = experiment.load
    kind = type(experiment.traffic.arrivals).kind
    parts = [
        experiment.name,
        f"{len(experiment.leaves)} servers",
        f"{kind} traffic" + (f" at {load:.0%} load" if load is not None else ""),
        f"{experiment.traffic.duration:g} s",
        f"seed {experiment.seed}, on {on}",
    ]
    return ", ".join(part for part in parts if part)
