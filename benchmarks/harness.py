"""What all benchmarks share: their options, `--json`, and rounds in which the candidates take turns."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lbkit.extensions import compiled, why_pure

T = TypeVar("T")


def options(doc: str) -> argparse.ArgumentParser:
    """Return a parser for a benchmark with this docstring, which adds its own options."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def report(
    parser: argparse.ArgumentParser,
    measure: Callable[..., dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Print what `measure` returns, called with the options: by `show`, or as one JSON object."""
    chosen = vars(parser.parse_args())
    as_json = chosen.pop("json")
    found = measure(**chosen) | {"python": platform.python_version(), "compiled": compiled()}
    if as_json:
        print(json.dumps(found))
    else:
        print("lbkit runs", "compiled" if compiled() else f"as readable Python: {why_pure()}")
        show(found)


def in_turn(names: Iterable[str], play: Callable[[str], T], rounds: int) -> dict[str, list[T]]:
    """Return what `play` returns for each name, by round. They take turns, so that a machine that slows down
    slows all of them."""
    found: dict[str, list[T]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, figures in found.items():
            figures.append(play(name))
    return found
