"""How good alerts are over a month of a small service: what they notice, and how often they cry wolf.

`python -m benchmarks.alerts` prints tables, `--json` one object. The month is simulated day by day, about 1.7
million requests, with each of the standard incidents once: on the other days, all that fires is a false
alarm. Besides the rules, one of them at several limits, with and without waiting until it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.harness import options, report
from lbkit.alerts import (
    INCIDENTS,
    Condition,
    Quality,
    Rule,
    assess,
    burn_rate,
    few_workers_left,
    high_error_rate,
    high_latency,
    month,
    server_down,
)
from lbkit.metrics.shares import error_share

RULES = [
    high_error_rate(0.05, window=300),
    high_latency(5.0, share=0.95, window=180, lasts=240),
    server_down(),
    few_workers_left(),
    # The objective itself as the limit, as somebody may write who has not heard of error budgets.
    Rule("MoreThanTheObjective", (Condition(error_share(600), ">", 0.001),)),
    *burn_rate(0.999),
]
LIMITS = (0.01, 0.02, 0.05, 0.1)
AT_LIMITS = [
    *high_error_rate(lasts=0).at_limits(LIMITS),
    *replace(high_error_rate(lasts=120), name="HighErrorRateLasting").at_limits(LIMITS),
]
GRACE = 600.0  # seconds


def measure(days: int) -> dict[str, Any]:
    """Return the rows of all rules, and of one at several limits; the detection times, and the work."""
    began = time.process_time()
    planned = {2 + 3 * i: one for i, one in enumerate(INCIDENTS) if 2 + 3 * i < days}
    store, known = month(days, planned, rules=[*RULES, *AT_LIMITS])
    made = time.process_time()
    rules, limits = (assess(some, [(store, known)], GRACE) for some in (RULES, AT_LIMITS))
    return {
        "days": days,
        "incidents": [one.name for one in known],
        "rules": rows(rules),
        "limits": rows(limits),
        "detection": {
            rule: {n: _known(s) for n, s in row.items()} for rule, row in rules.detections().items()
        },
        "pages_per_day": rules.pages_per_day,
        "store_bytes": store.nbytes,
        "simulation_cpu_s": made - began,
        "evaluation_cpu_s": time.process_time() - made,
    }


def rows(found: Quality) -> list[dict[str, float | str | None]]:
    """Return the rows of a table; None is nan, which JSON does not have."""
    return [{name: _known(value) for name, value in one.to_dict().items()} for one in found]


def _known(value: Any) -> Any:
    return value if value == value else None


def text(row: Mapping[str, Any]) -> str:
    cells = (
        "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
        for value in row.values()
    )
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


WIDTHS = (27, 10, 13, 11, 11, 11, 8, 14, 14)


def show(found: dict[str, Any]) -> None:
    print(f"{found['days']} days, with {', '.join(found['incidents']) or 'no incident'}")
    for name in ("rules", "limits"):
        print()
        print("".join(f"{column:>{width}}" for column, width in zip(found[name][0], WIDTHS, strict=True)))
        print("\n".join(map(text, found[name])))
    print(
        f"\n{found['pages_per_day']:.2g} pages a day by all rules;"
        f" simulated in {found['simulation_cpu_s']:.0f} s of processor time, evaluated in"
        f" {found['evaluation_cpu_s']:.0f} s; {found['store_bytes'] / 1e6:.0f} MB of metrics",
    )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--days", type=int, default=30)
    report(parser, measure, show)


if __name__ == "__main__":
    main()
