"""Filters that hide details of the backends from clients."""

from __future__ import annotations

from collections.abc import Iterable

from lbkit.net.filters.base import Filter
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import Answer, ExchangeView, ResponseHead


class HideFilter(Filter):
    """Removes fields such as Server from backends' answers."""

    name = "hide"

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(name.lower().encode() for name in names)

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        head.data = without_fields(head.data, self.names)


class HideErrorsFilter(Filter):
    """Replaces a backend's 5xx, which may reveal too much, with a short page."""

    name = "hide_errors"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> Answer | None:
        return Answer(head.status) if head.status >= 500 else None
