"""The metrics: their names, kinds, labels, and what they tell.

Names and units follow Prometheus' conventions (prometheus.io/docs/practices/naming): base units, seconds and
bytes; `_total` for what only grows. Shares are not among them: two counters say more, as the share of a
minute or of a day follows from both. So utilisation is the growth of `lbkit_service_duration_seconds_sum`
over the workers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"

NO_BACKEND = "none"  # the backend of requests that reached none
NO_ANSWER = "none"  # the class of requests that got no answer at all
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", NO_ANSWER)

# Upper bounds of the buckets of durations, in seconds. Fine around the usual objectives (100 to 500 ms): a
# quantile is only known to lie somewhere in its bucket.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. A histogram's series are `name_bucket` (with the label `le`), `name_sum` and `name_count`."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ("backend",)


# -- of runs, and of the proxy ---------------------------------------------------------------------------

REQUESTS = Metric("lbkit_requests_total", COUNTER, "Requests that ended.", ("backend", "code"))
DURATION = Metric("lbkit_request_duration_seconds", HISTOGRAM, "From request to answer; successes only.")
RETRIES = Metric("lbkit_retries_total", COUNTER, "Attempts after the first.")
IN_FLIGHT = Metric("lbkit_requests_in_flight", GAUGE, "Requests that have come and not ended.")
UP = Metric("lbkit_backend_up", GAUGE, "1 while the balancer sends it requests, else 0.")
# A proxy knows the workers of backends whose settings have them.
WORKERS = Metric("lbkit_backend_workers", GAUGE, "Requests it can work on at once; 0 while it is not up.")

# -- of runs ---------------------------------------------------------------------------------------------

WAITING = Metric("lbkit_waiting_duration_seconds", HISTOGRAM, "From the request until a server begins it.")
SERVICE = Metric("lbkit_service_duration_seconds", HISTOGRAM, "That a server worked on a request.")

# -- of the proxy ----------------------------------------------------------------------------------------

FIRST_BYTE = Metric("lbkit_first_byte_duration_seconds", HISTOGRAM, "From the pick to the answer's head.")
CONNECT = Metric("lbkit_connect_duration_seconds", HISTOGRAM, "For a new connection to a backend.")
ATTEMPTS = Metric("lbkit_attempts_total", COUNTER, "Times that a backend was picked.")
ERRORS = Metric("lbkit_request_errors_total", COUNTER, "Requests that failed.", ("backend", "reason"))
FAILED = Metric("lbkit_failed_attempts_total", COUNTER, "Attempts that failed.", ("backend", "reason"))
BYTES = Metric("lbkit_backend_bytes_total", COUNTER, "Bytes to and from a backend.")
DECISIONS = Metric("lbkit_decisions_total", COUNTER, "What was done about failures.", ("decision",))
EVENTS = Metric("lbkit_filter_events_total", COUNTER, "What filters have counted.", ("filter", "event"))
WEIGHT = Metric("lbkit_backend_weight", GAUGE, "The weight of a backend.")
CLIENTS = Metric("lbkit_open_client_connections", GAUGE, "Open connections of clients.", ())
ACCEPTED = Metric("lbkit_client_connections_total", COUNTER, "Connections that clients have made.", ())
PROCESSES = Metric("lbkit_workers", GAUGE, "Processes that serve.", ())
CPU = Metric("lbkit_cpu_seconds_total", COUNTER, "Processor time of all workers.", ())
MEMORY = Metric("lbkit_memory_bytes", GAUGE, "The largest resident sets of all workers.", ())
STARTED = Metric("lbkit_start_time_seconds", GAUGE, "When the proxy started, since 1970.", ())

OF_RUNS = (REQUESTS, DURATION, WAITING, SERVICE, RETRIES, IN_FLIGHT, UP, WORKERS)
OF_BACKENDS = (
    *(REQUESTS, DURATION, RETRIES, IN_FLIGHT, UP, WORKERS),
    *(FIRST_BYTE, CONNECT, ATTEMPTS, ERRORS, FAILED, BYTES, WEIGHT),
)
OF_THE_PROXY = (DECISIONS, EVENTS, CLIENTS, ACCEPTED, PROCESSES, CPU, MEMORY, STARTED)
METRICS = {metric.name: metric for metric in (*OF_RUNS, *OF_BACKENDS, *OF_THE_PROXY)}


def metric_of(series: str) -> Metric:
    """Return the metric of a series: that of "lbkit_request_duration_seconds_sum" is the histogram.

    Raises KeyError for a series of none."""
    return METRICS.get(series) or METRICS[re.sub("_(bucket|sum|count)$", "", series)]


def is_counter(series: str) -> bool:
    """Return whether a series only grows, by its name."""
    return series.endswith(("_total", "_bucket", "_count", "_sum"))


def code_class(status: int) -> str:
    """Return the class of a status: "2xx"; "none" for 0, no answer."""
    return f"{status // 100}xx" if status else NO_ANSWER
