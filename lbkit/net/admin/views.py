"""A State and the history as the plain tables that openapi.py describes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from lbkit import __version__
from lbkit.core.text import is_secret
from lbkit.net.workers.control import INTERVAL, Control, State
from lbkit.net.workers.figures import everything, requests, shown_counts
from lbkit.schema import strict_converter

Table = dict[str, Any]
# Messages that begin with these are about the whole text.
_WHOLE = r"(?!(?:the|line|byte|JSON|TOML)\b)"
_FIELD = re.compile(_WHOLE + r"(?:unknown )?([A-Za-z_]\w*(?:\[\d+\])?(?:\.\w+(?:\[\d+\])?)*)(?= |:|;|$)")


def faults(lines: list[str]) -> list[Table]:
    """Return each fault's field, where it has one, and its message, which says how to mend it."""
    found = []
    for line in lines:
        field = _FIELD.match(line)
        found.append({"field": field[1] if field else "", "message": line})
    return found


def backends(control: Control, state: State) -> list[Table]:
    history = control.history
    rows = []
    for name, row in state.backends.items():
        counts = state.counts["backends"].get(name, {})
        rows.append({**row, "counts": shown_counts(counts), "recent": history.recent(name, counts)})
    return rows


def pools(control: Control, state: State) -> list[Table]:
    names: dict[str, list[str]] = {}
    for name, row in state.backends.items():
        names.setdefault(row["pool"], []).append(name)
    used = algorithm(control, state)
    return [{"name": pool, "algorithm": used, "backends": there} for pool, there in names.items()]


def algorithm(control: Control, state: State) -> str:
    """Return the algorithm in use, which the operator may have switched."""
    return str(state.serving[0]["algorithm"]) if state.serving else control.config.policy.algorithm


def policy(control: Control, state: State) -> Table:
    switched = control.serving.own.get("switch")
    return {
        "algorithm": algorithm(control, state),
        "options": dict(switched["options"] if switched else control.config.policy.options),
        "file": without_secrets(strict_converter().unstructure(control.config.policy)),
    }


def without_secrets(value: Any) -> Any:
    """Return plain data with secrets replaced, and infinities, which JSON does not have, as texts."""
    if isinstance(value, Mapping):
        return {
            str(key): "(hidden)" if is_secret(str(key)) and inner else without_secrets(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, float) and not -1e300 < value < 1e300:
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def stats(control: Control, state: State) -> Table:
    total = everything(state.counts) if state.counts else {}
    reports = [*state.serving, *state.retiring]
    return {
        "totals": shown_counts(total),
        "recent": control.history.recent("", total),
        "clients": sum(report["clients"] for report in reports),
        "in_flight": sum(row["in_flight"] for row in state.backends.values()),
        "without_backend": shown_counts(state.counts.get("elsewhere", {})),
        "decisions": state.counts.get("attempts", {}),
        "filters": state.counts.get("filters", {}),
        "faults": list(dict.fromkeys(line for report in reports for line in report["faults"])),
    }


def workers(control: Control, state: State) -> list[Table]:
    told = {report["pid"]: report for report in (*state.serving, *state.retiring)}
    rows = []
    for generation in control.generations:
        for worker in sorted(generation.alive, key=lambda worker: worker.pid):
            report = told.get(worker.pid)
            serves = worker in generation.ready and generation is control.serving
            rows.append(
                {
                    "pid": worker.pid,
                    "generation": generation.number,
                    "state": ("serving" if serves else "retiring") if report else "busy",
                    "clients": report["clients"] if report else None,
                    "requests": requests(everything(report["counts"])) if report else None,
                }
            )
    return rows


def status(control: Control, state: State) -> Table:
    failed = control.failed_reload
    return {
        "version": __version__,
        "started": control.started,
        "now": time.time(),
        "listen": control.url,
        "algorithm": algorithm(control, state),
        "interval": INTERVAL,
        "pools": pools(control, state),
        "backends": backends(control, state),
        "series": {name: control.history.rates(name) for name in ("", *state.backends)},
        "stats": stats(control, state),
        "workers": workers(control, state),
        "reloads": {
            "count": control.reloads,
            "failed": {"at": failed[0], "faults": faults(failed[1])} if failed else None,
            "waiting": control.busy,
        },
    }
