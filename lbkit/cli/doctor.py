"""`lbkit doctor`: whether this machine is ready for the course, what it lacks, and how to get that."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from lbkit import __version__
from lbkit.cli.console import reported
from lbkit.cli.machine import CHECKS
from lbkit.course import all_labs
from lbkit.course.material_needs import features_used
from lbkit.material import find_course
from lbkit.needs import FEATURES, why_not

LAB, CHECKED = "lab", "labs"  # the features without which no notebook opens, and no lab is checked


def examine() -> dict[str, Any]:
    """Return the report: plain data, without names or addresses of people. Raises ValueError, OSError."""
    missing = {name: why_not(name) for name in FEATURES}
    course = find_course()
    notebooks = sorted((course / "notebooks").glob("*.ipynb")) if course else []
    labs = {lab.name: lab.folder / f"{lab.task.module}.ipynb" for lab in all_labs()}
    return {
        "lbkit": __version__,
        "computer": platform.node(),
        "machine": {name: look()._asdict() for name, look in CHECKS.items()},
        "features": missing,
        "notebooks": {path.stem: _lacking(path, LAB, missing) for path in notebooks},
        "labs": {name: _lacking(path, CHECKED, missing) for name, path in labs.items()},
    }


def _lacking(notebook: Path, always: str, missing: dict[str, str]) -> list[str]:
    """Return which features a notebook would use and this machine lacks."""
    return [name for name in (always, *features_used(notebook)) if missing[name]]


def as_text(report: dict[str, Any]) -> str:
    """Return the report in lines: what is missing says how to get it."""
    width = max(map(len, (*CHECKS, *FEATURES))) + 2
    lines = ["This machine"]
    for name, (found, mend) in ((name, tuple(row.values())) for name, row in report["machine"].items()):
        lines.append(f"{'low' if mend else 'ok '}  {name:{width}}{found}{f': {mend}' if mend else ''}")
    lines += ["", "Packages and programs: only the simulator is always there, and nothing else is required"]
    for name, reason in report["features"].items():
        what = reason.removeprefix(f"{name} needs ") or FEATURES[name].what
        lines.append(f"{'no ' if reason else 'yes'}  {name:{width}}{what}")
    for what in ("notebooks", "labs"):
        lines += ["", *_in_short(what, report[what])]
    return "\n".join(lines)


def _in_short(what: str, lacking: dict[str, list[str]]) -> Iterable[str]:
    less = {name: features for name, features in lacking.items() if features}
    if not lacking:
        yield f"No {what} in this installation"
        return
    others = "; the others leave something out" if less else ""
    yield f"{what.capitalize()}: {len(lacking) - len(less)} of {len(lacking)} run in full{others}"
    for name, features in less.items():
        blocked = " and so not at all" if {LAB, CHECKED} & set(features) else ""
        yield f"     {name}  without {', '.join(features)}{blocked}"


def room(reports: dict[str, dict[str, Any]]) -> str:
    """Return what the computers of a room lack, the commonest first, and which computers these are.

    Raises KeyError, AttributeError or TypeError for something that is no report."""
    lacking: defaultdict[str, list[str]] = defaultdict(list)
    for computer, report in reports.items():
        for name, row in report["machine"].items():
            if row["mend"]:
                lacking[f"{name}: {row['mend']}"].append(computer)
        for reason in filter(None, report["features"].values()):
            lacking[reason].append(computer)
    lines = [f"Computers: {len(reports)}"]
    for name, computers in sorted(lacking.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(computers):3}  {name}  ({', '.join(computers)})")
    return "\n".join(lines)


def command(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(metavar="REPORT...", help="Files written with --json: show what their machines lack."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report for machines.")] = False,
) -> None:
    """Look whether this machine is ready for the course: what is missing, and how to get it.

    With REPORTs, which the computers of a room wrote with --json, list what is missing in the room.

    \b
    [bold]Examples[/]
      lbkit doctor
      lbkit doctor --json > ann.json
      lbkit doctor ann.json ben.json
    """
    with reported():
        if reports:
            typer.echo(room({path.stem: _read(path) for path in reports}))
            return
        report = examine()
    typer.echo(json.dumps(report, indent=2) if as_json else as_text(report))


def _read(path: Path) -> dict[str, Any]:
    """Raises ValueError for what is no report, OSError."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        room({path.stem: report})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: no report; `lbkit doctor --json > {path.name}` writes one") from None
    return report
