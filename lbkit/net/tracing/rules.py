"""The settings of traces: the section [tracing] of the proxy's file."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from lbkit.checks import number, text, whole, word
from lbkit.core.options import named_fields


def an_endpoint(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Raise ValueError for what is no URL of a collector; empty is none."""
    if value == "":
        return
    problem = not isinstance(value, str) or not value.isascii() or any(c <= " " for c in value)
    if not problem:
        try:
            url = urlsplit(value)
            known = url.scheme in ("http", "https") and url.hostname and url.port != 0
            problem = not known or url.username is not None or bool(url.fragment)
        except ValueError:  # a port that is no number
            problem = True
    if problem:
        raise ValueError(
            f"{attribute.name} is {value!r}: use a URL of OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces"
        )


@named_fields
@frozen
class Tracing:
    """Which requests are traced, and where their spans go. The section alone makes the proxy take part in
    traces: it continues those that requests bring along, and begins others."""

    # Where spans are sent: OTLP over HTTP (extra `tracing`); empty: nowhere, traceparent is only passed on.
    endpoint: str = field(default="", validator=an_endpoint)
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
