"""The attempts of a film: all, where a run was recorded; else the last of each request, from its row."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from lbkit.recorded import Attempt
from lbkit.result import Result
from lbkit.server import PROCESSOR_SHARING

RETRIED = "only the last attempt of each request is shown, as if it had been the first"
HELD = "waiting before the balancer (limits, admission, cache) is shown as waiting at the server"


def attempts(result: Result, ended: Sequence[str]) -> list[Attempt]:
    """Return the attempts in order of time. `ended`: the outcome of each row."""
    made = result.extra.get("attempts")
    if made is None:
        made = (_last(result, row, ended[row]) for row, server in enumerate(result.backend) if server >= 0)
    return sorted(made, key=lambda attempt: attempt.at)


def simplified(result: Result) -> list[str]:
    """Return what is not known of the attempts, a line each."""
    if "attempts" in result.extra:
        return []
    experiment = result.experiment
    notes = []
    if any(count > 1 for count in result.attempts):
        notes.append(RETRIED)
    if experiment.limits or experiment.admission or experiment.cache:
        notes.append(HELD)
    return notes


def _last(result: Result, row: int, outcome: str) -> Attempt:
    """Return the attempt that answered a request, as if the balancer had decided at once."""
    server = result.backend[row]
    arrival, start, end = result.arrival[row], result.start[row], result.end[row]
    spec = result.experiment.leaves[server]
    if spec.discipline == PROCESSOR_SHARING or not result.service[row]:
        done = end - spec.delay  # shared work takes longer than its service time
    else:
        done = start + result.service[row]
    done = end if isnan(done) else min(end, max(done, arrival if isnan(start) else start))
    return Attempt(row, server, arrival, start, done, outcome=outcome)
