"""Health rules in HAProxy's words, and the states of its servers in ours."""

from __future__ import annotations

import re

from lbkit.core.health.checks import CheckRules, CheckState
from lbkit.core.health.probe import Probe
from lbkit.core.health.watch import HealthRules
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import UP_AT_START, HealthWays, milliseconds

SPREAD = 0.5  # HAProxy's limit for the share that a check may come earlier or later

WAYS = HealthWays(
    {
        "checks": {"start": UP_AT_START, "probe.kind": ("http", "tcp", "tls")},
        # Of outliers it knows the consecutive failures.
        "outliers": {
            "stdev_factor": (0,),
            "failure_rate": (0,),
            "latency_factor": (0,),
            "max_ejected": (1,),
        },
        "max_in_flight": {},
    },
    {
        "max_fails": "it counts failures in a row (outliers.consecutive), beside checks",
        "breaker": "it marks a server down after failures in a row (outliers.consecutive)",
    },
)

_CHECK = re.compile(
    r"Health check for (?:backup )?server servers/(?P<name>\S+) \w+, reason: (?P<why>.*?)"
    r"(?:, check duration: \d+ms)?, status: (?P<row>\d+)/(?P<of>\d+) (?P<up>UP|DOWN)"
)


def check(rules: HealthRules) -> None:
    """Raise PeerError for rules that WAYS does not have."""
    if rules.checks and rules.checks.jitter > SPREAD:
        raise PeerError(f"haproxy spreads checks by at most {SPREAD:.0%}: use checks.jitter up to {SPREAD:g}")
    if rules.outliers and not rules.checks:
        raise PeerError("haproxy observes requests beside checks only: add policy.health.checks")


def quoted(text: str) -> str:
    """Return a text as one word of HAProxy's configuration."""
    return "'" + text.replace("'", "'\\''") + "'"


def global_lines(rules: HealthRules | None) -> str:
    checks = rules.checks if rules else None
    return f"  spread-checks {round(100 * checks.jitter)}\n" if checks and checks.jitter else ""


def backend_lines(rules: HealthRules | None, layer: int) -> str:
    """Return the lines of a backend that say what a check is, and when its servers are checked."""
    lines = []
    if rules and rules.checks:
        lines += [f"timeout check {milliseconds(rules.checks.timeout)}", "option log-health-checks"]
        if rules.checks.probe.kind == "http":
            lines += _http(rules.checks.probe)
    if rules and rules.max_in_flight:
        lines.append(
            "timeout queue 1ms  # a request that finds all servers full gets 503, as the experiment says"
        )
    if words := _server_words(rules, layer):
        lines.append(" ".join(["default-server", *words]))
    return "".join(f"  {line}\n" for line in lines)


def _http(probe: Probe) -> list[str]:
    headers = {"Host": probe.host or "127.0.0.1", **probe.headers}
    # Values of fields are log formats, in which a percent sign begins a variable.
    fields = " ".join(f"hdr {name} {quoted(value.replace('%', '%%'))}" for name, value in headers.items())
    lines = [
        "option httpchk",
        f"http-check send meth {probe.method} uri {quoted(probe.path)} ver HTTP/1.1 {fields}",
        f"http-check expect status {probe.expect.replace(' ', '')}",
    ]
    return [*lines, f"http-check expect string {quoted(probe.body)}"] if probe.body else lines


def _server_words(rules: HealthRules | None, layer: int) -> list[str]:
    words = []
    if rules and rules.checks:
        words += _check(rules.checks)
    if rules and rules.outliers and rules.outliers.consecutive:
        words += [f"observe layer{layer}", f"error-limit {rules.outliers.consecutive}", "on-error mark-down"]
    return words


def _check(rules: CheckRules) -> list[str]:
    words = ["check", f"inter {milliseconds(rules.interval)}"]
    if rules.fast_interval:
        words.append(f"fastinter {milliseconds(rules.fast_interval)}")
    if rules.down_interval:
        words.append(f"downinter {milliseconds(rules.down_interval)}")
    words += [f"rise {rules.rise}", f"fall {rules.fall}"]
    if rules.probe.port:
        words.append(f"port {rules.probe.port}")
    return [*words, "check-ssl verify none"] if rules.probe.kind == "tls" else words


def notes(rules: HealthRules | None) -> list[str]:
    """Return where HAProxy's health rules differ from ours."""
    notes = []
    if rules and rules.checks and rules.checks.start == "fully-up" and rules.checks.fall > 1:
        notes.append(
            "until a server's first check has passed, one that fails takes it out (start 'up');"
            " 'fully-up' is in HAProxy from 3.1 on"
        )
    if rules and rules.checks:
        notes.append(
            "after a check that got no answer in time, the interval is counted from its end: a hung server is"
            " found `timeout` later for each check but the last"
        )
    if rules and rules.checks and rules.checks.probe.body:
        notes.append("a check looks for its text in the first 16 KiB of the answer")
    if rules and rules.outliers:
        notes.append(
            "failures in a row set the one state that checks have: the server comes back after `rise` checks,"
            " not after base_ejection; 501 and 505 are no failures"
        )
    if rules and rules.max_in_flight:
        notes.append("hashes and sticky sessions do not avoid a full server: their requests get 503")
    return notes


def told(line: str) -> tuple[str, str, str] | None:
    """Return server, state (as a CheckState's label) and reason, if a line of its log has a check."""
    found = _CHECK.search(line)
    if found is None:
        return None
    row, of = int(found["row"]), int(found["of"])
    if found["up"] == "UP":
        state = CheckState.UP if row == of else CheckState.FAILING
    else:
        state = CheckState.RECOVERING if row else CheckState.DOWN
    return found["name"], state.label, found["why"]
