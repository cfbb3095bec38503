"""What a filter is, and how a proxy finds out what its filters do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lbkit.core import Pool, Replicas
from lbkit.net.messages import Answer, ExchangeView, Hold, ResponseHead, Sink

HOOKS = ("on_request", "on_response", "on_origin_done", "on_end")


class Filter:
    """A feature that looks at exchanges, and may change or answer them. It overrides the hooks it needs.

    Bodies are changed by wrapping: `on_response` makes a `WrappedSink`. What a filter keeps of one exchange
    is in `exchange.state[self.index]`. A hook that raises ends its exchange with a 500.
    """

    name = "a filter"  # for messages
    index = 0  # its place in `exchange.state`
    # Reports what raised outside of hooks, within the exception's handler. The proxy sets it.
    fault: Callable[[str], object] = staticmethod(print)
    pool: Pool | Replicas  # The proxy sets it.

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        """Before a backend is picked: None to go on, an Answer, or HOLD."""

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> Answer | None:
        """A final answer begins (`head.own`: the proxy's). `head.data` may be changed; an Answer takes
        the place of a backend's."""

    def on_origin_done(self, exchange: ExchangeView, ok: bool | None, now: float) -> None:
        """Nothing more comes from a backend, though the client may not have the whole answer yet.

        Called exactly once, also if no backend was asked. `ok`: the outcome, None if it is not known."""

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        """It is over, whatever happened. Called exactly once."""

    async def close(self) -> None:
        """The proxy stops."""


class WrappedSink:
    """Takes a body on its way to the client: passes on everything, but for what a subclass changes.

    It goes behind those that are there already: filters see answers in reverse, so the first filter is the
    nearest to the client, as it is for requests.
    """

    def __init__(self, exchange: ExchangeView) -> None:
        self.exchange = exchange
        self.next: Sink = exchange.client
        last = exchange.sink
        if isinstance(last, WrappedSink):
            while isinstance(last.next, WrappedSink):
                last = last.next
            last.next = self
        else:
            exchange.sink = self

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self.next.respond(head, data, end)

    def send(self, data: bytes, end: bool) -> None:
        self.next.send(data, end)

    def ready(self, ready: bool) -> None:
        if self.next is self.exchange.client:
            self.exchange.read_origin(ready)
        else:
            self.next.ready(ready)


def hooks(filters: Sequence[Filter]) -> dict[str, tuple[Any, ...]]:
    """By hook, the methods of the filters that have it: found out once, so that others cost nothing.

    Requests pass the filters in order, answers in reverse."""
    found = {}
    for hook in HOOKS:
        order = filters if hook == "on_request" else list(reversed(filters))
        found[hook] = tuple(
            getattr(f, hook) for f in order if getattr(type(f), hook) is not getattr(Filter, hook)
        )
    return found
