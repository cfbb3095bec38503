"""Load reports of backends in a header field, in the format of ORCA.

`Endpoint-Load-Metrics: TEXT cpu_utilization=0.3,rps_fractional=12.5,eps=0.1,named_metrics.in_flight=4`. (Open
Request Cost Aggregation, which Envoy and gRPC read; the named metrics are ours.)
"""

from __future__ import annotations

import re

from lbkit.core.meter import LoadReport

FIELD = b"endpoint-load-metrics"
_REPORT = re.compile(rb"^" + FIELD + rb":[ \t]*TEXT[ \t]+([^\r\n]{1,1000})", re.IGNORECASE | re.MULTILINE)

# The name in ORCA -> the field of a LoadReport.
NAMES = {
    "cpu_utilization": "utilisation",
    "rps_fractional": "rate",
    "eps": "errors",
    "named_metrics.in_flight": "in_flight",
    "named_metrics.latency": "latency",
    "named_metrics.idle": "idle",
}


def read_report(fields: bytes) -> LoadReport | None:
    """Return the report in an answer's internal fields; None if it is missing or malformed."""
    found = _REPORT.search(fields) if fields else None
    if not found:
        return None
    values = dict.fromkeys(LoadReport._fields, 0.0)
    for pair in found[1].decode("latin-1").split(","):
        name, _, text = pair.strip().partition("=")
        if name in NAMES:
            try:
                value = float(text)
            except ValueError:
                return None
            if not 0 <= value < 1e12:
                return None
            values[NAMES[name]] = value
    in_flight, *others = values.values()
    return LoadReport(int(in_flight), *others)


def write_report(report: LoadReport) -> bytes:
    """Return the value of the field."""
    named = ",".join(f"{name}={getattr(report, mine):.6g}" for name, mine in NAMES.items())
    return f"TEXT {named}".encode()
