"""Mirrors: sends copies of requests to shadow pools, and compares the answers with those of the clients.

It comes last of the filters: it copies what a backend gets, and sees what a backend answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbkit.core import NoBackend, PoolSet
from lbkit.core.routing import MirrorCounts, MirrorReport, Rule, Seen
from lbkit.core.routing.mirror import TOO_BIG, UNFINISHED, UPGRADE
from lbkit.net.faults import say
from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.messages import ExchangeView, ResponseHead
from lbkit.net.origin.shadow import Digest, Shadow
from lbkit.net.service import Service

NOT_COPIED = object()  # in `exchange.state`


class _Body:
    """The body of a request as far as it is here."""

    __slots__ = ("complete", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.complete = False

    def add(self, data: bytes, end: bool, most: int) -> bool:
        """Add a piece; return whether all fits into `most` bytes."""
        self.size += len(data)
        self.complete = end
        if self.size > most:
            self.pieces.clear()
        else:
            self.pieces.append(data)
        return self.size <= most


class _Copy:
    """An exchange that is mirrored."""

    __slots__ = ("began", "body", "counts", "digest", "ours", "seconds", "status", "text", "theirs")

    def __init__(self, counts: MirrorCounts, body: _Body, text: str) -> None:
        self.counts = counts
        self.text = text
        self.body: _Body | None = body  # until the copy is sent
        self.began = 0.0  # when the copy was sent
        self.status = 0
        self.seconds = 0.0
        self.digest = Digest(counts.mirror.compare_body)  # of the answer to the client
        self.ours: Seen | None = None  # once the client has it
        self.theirs: Seen | None = None  # once the copy has ended

    def compare(self) -> None:
        """Compare, once both answers are here."""
        if self.ours and self.theirs:
            self.counts.compare(self.text, self.ours, self.theirs)
            self.theirs = None


class MirrorFilter(Filter):
    """Copies the requests that rules choose. No client waits for a copy, nor learns of one that fails."""

    name = "mirror"
    service: Service  # the proxy sets it

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.counts = {rule.name: MirrorCounts(rule.name, rule.mirror) for rule in rules if rule.mirror}
        self._longest = max(counts.mirror.body for counts in self.counts.values())
        self._under_way: set[Shadow] = set()

    def report(self) -> dict[str, MirrorReport]:
        return {name: counts.report() for name, counts in self.counts.items()}

    def figures(self) -> Mapping[str, int]:
        """Return the counts of the reports, by rule and kind."""
        found: dict[str, int] = {}
        for rule, report in self.report().items():
            kinds = {"copies": report.copies, "same": report.same, "failed": report.failed}
            kinds |= {f"differ in {what}": count for what, count in report.differ.items()}
            kinds |= {f"not copied: {why}": count for why, count in report.skipped.items()}
            found |= {f"{rule}, {kind}": count for kind, count in kinds.items()}
        return found

    async def close(self) -> None:
        for shadow in list(self._under_way):
            shadow.end()
        for counts in self.counts.values():
            if counts.copies or counts.skipped:
                say(f"mirror of {counts.report()}")

    # -- the request ---------------------------------------------------------------------------

    def on_request(self, exchange: ExchangeView, now: float) -> None:
        body: _Body = exchange.state[self.index] or _Body()  # it may have come before its turn here
        exchange.state[self.index] = NOT_COPIED
        route, request = exchange.route, exchange.request
        if route is None or not route.mirror:
            return
        counts = self.counts[route.rule]
        if request.upgrade:
            counts.skipped[UPGRADE] += 1
        elif counts.takes(max(request.length, body.size)):
            text = f"{request.method.decode('latin-1')} {request.original.decode('latin-1')}"
            copy = exchange.state[self.index] = _Copy(counts, body, text)
            if request.length == 0 or body.complete:
                self._send(exchange, copy)

    def on_request_body(self, exchange: ExchangeView, data: bytes, end: bool) -> None:
        state = exchange.state[self.index]
        if state is None:
            state = exchange.state[self.index] = _Body()
        if isinstance(state, _Body):
            state.add(data, end, self._longest)
        elif isinstance(state, _Copy) and state.body is not None:
            if not state.body.add(data, end, state.counts.mirror.body):
                state.counts.skipped[TOO_BIG] += 1
                state.counts.leave()
                exchange.state[self.index] = NOT_COPIED
            elif end:
                self._send(exchange, state)

    def _send(self, exchange: ExchangeView, copy: _Copy) -> None:
        """Send the copy; nothing of it may fail the exchange."""
        counts, mirror = copy.counts, copy.counts.mirror
        assert copy.body
        body, copy.body = b"".join(copy.body.pieces), None
        service, request = self.service, exchange.request

        def ended(shadow: Shadow, seen: Seen) -> None:
            self._under_way.discard(shadow)
            try:
                shadow.lease.release(0 < seen.status < 500, service.now())
            except Exception:  # a learner's algorithm may raise anything
                self.fault("releasing a shadow backend failed")
            counts.leave()
            copy.theirs = seen
            copy.compare()

        copy.began = now = service.now()
        counts.copies += 1
        pool = self.pool.named(mirror.pool) if isinstance(self.pool, PoolSet) else self.pool
        try:
            lease = pool.acquire(service.key(request), now)
        except Exception as error:  # NoBackend, or a learner's algorithm
            if not isinstance(error, NoBackend):
                self.fault("picking a shadow backend failed")
            counts.leave()
            copy.theirs = Seen(0)
            return
        connections = service.connections
        self._under_way.add(
            Shadow(request, body, lease, connections, mirror.timeout, mirror.compare_body, ended)  # type: ignore[arg-type]
        )

    # -- the answer to the client --------------------------------------------------------------

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        copy = exchange.state[self.index]
        if not isinstance(copy, _Copy) or copy.ours:
            return
        if copy.status:  # another filter has put an answer of its own in its place
            copy.ours = Seen(copy.status, -1, b"", copy.seconds)
            return
        copy.status = head.status
        copy.seconds = max(0.0, self.service.now() - copy.began) if copy.began else 0.0
        _SeenSink(exchange, copy)

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        copy = exchange.state[self.index]
        if not isinstance(copy, _Copy):
            return
        if copy.body is not None:  # it was answered, or left, before its body was complete
            copy.body = None
            copy.counts.leave()
            copy.counts.skipped[UNFINISHED] += 1
        elif copy.ours is None:
            copy.counts.skipped[UNFINISHED] += 1
        else:
            copy.compare()


class _SeenSink(WrappedSink):
    """Looks at a client's answer on its way."""

    def __init__(self, exchange: ExchangeView, copy: _Copy) -> None:
        super().__init__(exchange)
        self.copy = copy

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self._see(data, end)
        super().respond(head, data, end)

    def send(self, data: bytes, end: bool) -> None:
        self._see(data, end)
        super().send(data, end)

    def _see(self, data: bytes, end: bool) -> None:
        copy = self.copy
        copy.digest.add(data)
        if end and copy.ours is None:
            copy.ours = Seen(copy.status, copy.digest.length, copy.digest.value(), copy.seconds)
