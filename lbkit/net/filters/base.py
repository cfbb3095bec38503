"""The base class of filters, and the table of the hooks that they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lbkit.core import AnyPool, Lease
from lbkit.net.messages import Answer, ExchangeView, Hold, RequestHead, ResponseHead, Sink
from lbkit.net.service import Step

HOOKS = (
    *("on_request", "on_request_body", "on_attempt"),
    *("on_response", "on_origin_done", "on_client_gone", "on_end"),
)


class Unattended(Protocol):
    """Exchanges without a client; the proxy carries them out."""

    def send(self, by: Filter, request: RequestHead, like: ExchangeView, state: Any) -> None:
        """Send a request of a filter's own, to the pool of another exchange. Only that filter and those
        behind it see it; `state` is the filter's of the new exchange."""

    def adopt(self, exchange: ExchangeView) -> None:
        """Keep an exchange going after its client has left."""


class Filter:
    """A feature that observes exchanges, and may change or answer them. It overrides the hooks it needs.

    To change a body, `on_response` makes a `WrappedSink`. A filter's state of one exchange is in
    `exchange.state[self.index]`. If a hook raises, the exchange ends with a 500.
    """

    name = "a filter"  # for messages
    index = 0  # its place in `exchange.state`
    # Reports an exception outside of hooks; called in its handler. The proxy sets it.
    fault: Callable[[str], object] = staticmethod(print)
    pool: AnyPool  # The proxy sets it.
    unattended: Unattended  # The proxy sets it.

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        """Called before a backend is picked. Returns None to continue, an Answer, or HOLD."""

    def on_request_body(self, exchange: ExchangeView, data: bytes, end: bool) -> None:
        """Called with each piece of the request's body, the first ones perhaps before `on_request`."""

    def on_attempt(self, exchange: ExchangeView, step: Step, lease: Lease, detail: Any, now: float) -> None:
        """Called at each step of an attempt at a backend, which its lease tells apart; `detail`: see Step."""

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> Answer | None:
        """Called when a final answer begins (`head.own`: the proxy's own). It may change `head.data`, or
        return an Answer that replaces the backend's."""

    def on_origin_done(self, exchange: ExchangeView, ok: bool | None, now: float) -> None:
        """Called once when the backend is done, though the client may not have the whole answer yet.

        Also called if no backend got the request. `ok`: the outcome, None if unknown."""

    def on_client_gone(self, exchange: ExchangeView) -> bool:
        """Called when the client has left. Returns True to go on, after `unattended.adopt`."""
        return False

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        """Called once when the exchange is over, whatever its outcome."""

    def figures(self) -> Mapping[str, int]:
        """Return counts that only grow, for the admin interface."""
        return {}

    async def close(self) -> None:
        """Called when the proxy stops."""


class WrappedSink:
    """Passes an answer's body on to the next sink; subclasses change it.

    It wraps the sinks of the filters before it. Answers pass the filters in reverse, so the first filter is
    nearest to the client, as for requests.
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
    """Return, for each hook, the methods of the filters that override it; other filters cost nothing.

    Requests pass the filters in order, answers in reverse."""
    found = {}
    for hook in HOOKS:
        order = filters if hook.startswith("on_request") else list(reversed(filters))
        found[hook] = tuple(
            getattr(f, hook) for f in order if getattr(type(f), hook) is not getattr(Filter, hook)
        )
    return found
