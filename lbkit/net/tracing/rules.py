"""The settings of traces: the section [tracing] of the proxy's file."""

from __future__ import annotations

from attrs import field, frozen

from lbkit.checks import number, text, whole, word
from lbkit.core.options import named_fields
from lbkit.net.address import an_endpoint


@named_fields
@frozen
class Tracing:
    """Which requests are traced, and where their spans go. The section alone makes the proxy take part in
    traces: it continues those that requests bring along, and begins others."""

    # Where spans are sent: OTLP over HTTP (extra `tracing`); empty: nowhere, traceparent is only passed on.
    endpoint: str = field(default="", validator=an_endpoint("traces"))
    service: str = field(default="lbkit", validator=text())  # the name of the proxy in traces: service.name
    # The share that is recorded of the traces that begin here; others bring the decision along.
    sample: float = field(default=1.0, validator=number(0, 1))
    # Whose traceparent is believed: "all" clients', or only those of proxies in `trusted`. Others get a new
    # trace: no stranger then decides what is recorded.
    accept: str = field(default="all", validator=word(("all", "trusted")))
    queue: int = field(
        default=2048, validator=whole(1, 1_000_000)
    )  # spans that wait; more are dropped, and counted
    batch: int = field(default=512, validator=whole(1, 100_000))  # spans that are sent at once
    delay: float = field(default=1.0, validator=number(0, above=True))  # seconds that a span waits for others
    timeout: float = field(default=10.0, validator=number(0, above=True))  # seconds for sending, with repeats
