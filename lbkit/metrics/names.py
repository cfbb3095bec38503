"""The metrics: their names, kinds, labels, and what they tell.

Names and units follow Prometheus' conventions (prometheus.io/docs/practices/naming): base units, seconds and
bytes; `_total` for what only grows. Shares are not among them: two counters say more, as the share of a
minute or of a day follows from both. So utilisation is the growth of `lbkit_service_duration_seconds_sum`
over the workers.
"""

from __future__ import annotations

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


REQUESTS = Metric("lbkit_requests_total", COUNTER, "Requests that ended.", ("backend", "code"))
DURATION = Metric("lbkit_request_duration_seconds", HISTOGRAM, "From the request to its complete answer.")
WAITING = Metric("lbkit_waiting_duration_seconds", HISTOGRAM, "From the request until a server begins it.")
SERVICE = Metric("lbkit_service_duration_seconds", HISTOGRAM, "That a server worked on a request.")
RETRIES = Metric("lbkit_retries_total", COUNTER, "Attempts after the first.")
IN_FLIGHT = Metric("lbkit_requests_in_flight", GAUGE, "Requests that have come and not ended.")
UP = Metric("lbkit_backend_up", GAUGE, "1 while the balancer sends it requests, else 0.")
WORKERS = Metric(
    "lbkit_backend_workers", GAUGE, "Requests that it can work on at once; 0 while it is out of service."
)

METRICS = {
    metric.name: metric for metric in (REQUESTS, DURATION, WAITING, SERVICE, RETRIES, IN_FLIGHT, UP, WORKERS)
}


def code_class(status: int) -> str:
    """Return the class of a status: "2xx"; "none" for 0, no answer."""
    return f"{status // 100}xx" if status else NO_ANSWER
