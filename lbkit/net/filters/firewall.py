"""The firewall: refuses requests that look like attacks, or only records them.

Begin with `mode = "monitor"`, read the records, switch off what disturbs the application, then block.
Limits of clients are elsewhere: `rate_limits`, `admission`, `limits.connections_per_client`; slow heads and
bodies end by `timeouts` and `limits.body_rate`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TextIO

from lbkit.core.content_coding import DECODED, decode
from lbkit.core.firewall import LIMITS, PASS, Verdict
from lbkit.core.request_texts import is_text
from lbkit.firewall import FirewallRules
from lbkit.net.filters.base import Filter
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold, RequestHead, ResponseHead
from lbkit.net.modsecurity import CORE_RULE_SET, ModSecurity

RECORDS = 1000  # that are kept in memory
MOST_FINDINGS = 20  # of a record
LONGEST_PATH = 200  # characters
MAX_TEXT = 64 * 1024  # bytes of a body that are looked at
SLOW = 1.0  # seconds of an engine for one request, from which on it is reported
ACCEPTED = b"Accept-Encoding: %b\r\n" % ", ".join(DECODED).encode()  # of requests (RFC 9110, 12.5.3)


class FirewallFilter(Filter):
    """Asks the firewall about each request: about its limits first, then its engine, once the body is here.

    `records` has the last ones that were refused, or would have been. Raises OSError, ModSecurityError."""

    name = "firewall"

    def __init__(self, rules: FirewallRules) -> None:
        self.firewall = rules.firewall()
        self.blocks = rules.mode == "block"
        self.records: deque[dict[str, Any]] = deque(maxlen=RECORDS)
        self._hold = Hold(self.on_body) if rules.bodies else None
        self._encoded = rules.encoded
        self._allowed = b"Allow: %b\r\n" % ", ".join(rules.methods).encode()
        self._own = rules.audit not in ("", "-")
        self._file: TextIO | None = sys.stderr if rules.audit == "-" else None
        if self._own:
            self._file = open(rules.audit, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - see close

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        request = exchange.request
        verdict = self.firewall.limit(request)
        if verdict is PASS:
            return None
        answer = self._conclude(exchange, verdict) if verdict else None
        if answer:
            return answer
        if self._hold and request.length and self._is_readable(request):
            return self._hold
        return self._judge(exchange, b"")

    def _is_readable(self, request: RequestHead) -> bool:
        """Whether there is a text to wait for: an upload or a stream of gRPC goes on at once."""
        if self._encoded == "pass" and request.field(b"content-encoding"):
            return False
        return is_text(request.field(b"content-type"))

    def on_body(self, exchange: ExchangeView, body: bytes, now: float) -> None:
        """Decide about a request with its body, or the beginning of it."""
        request = exchange.request
        answer: Answer | Hold | None = None
        coding = request.field(b"content-encoding").decode("latin-1")
        text = None if coding and self._encoded == "refuse" else decode(body, coding, MAX_TEXT)
        if text is None:
            verdict = self.firewall.refusal(106)
            answer = self._conclude(exchange, verdict) if verdict else None
        answer = answer or self._judge(exchange, text or b"")
        if isinstance(answer, Answer):
            exchange.answer_with(answer)
        elif answer is None:
            exchange.proceed(now)

    def _judge(self, exchange: ExchangeView, body: bytes) -> Answer | Hold | None:
        """Ask the engine."""
        request = exchange.request
        return self._conclude(exchange, self.firewall.compare(request, body, request.field(b"content-type")))

    def _conclude(self, exchange: ExchangeView, verdict: Verdict) -> Answer | None:
        return self._refusal(exchange.request, verdict) if verdict.status else None

    def _refusal(self, request: RequestHead, verdict: Verdict) -> Answer | None:
        """Record it; return the answer, or None in monitor mode. The client does not learn what was found."""
        self.records.append(record := audit_record(request, verdict, self.blocks))
        if self._file:
            print(json.dumps(record), file=self._file)
        if not self.blocks:
            return None
        fields = {405: self._allowed, 415: ACCEPTED}.get(verdict.status, b"")
        return Answer(verdict.status, "refused", fields)

    async def close(self) -> None:
        if self._own and self._file:
            self._file.close()


class ModSecurityFilter(FirewallFilter):
    """The same with ModSecurity, in a thread of its own: the loop goes on meanwhile."""

    def __init__(self, rules: FirewallRules) -> None:
        super().__init__(rules)
        self._engine = modsecurity(rules)
        self._thread = ThreadPoolExecutor(1, "modsecurity")

    def _judge(self, exchange: ExchangeView, body: bytes) -> Answer | Hold | None:
        asking = asyncio.get_running_loop().create_task(self._ask(exchange, body))
        exchange.state[self.index] = asking
        exchange.suspend()
        return HOLD

    async def _ask(self, exchange: ExchangeView, body: bytes) -> None:
        """Ask the engine, and continue with its verdict."""
        loop, request = asyncio.get_running_loop(), exchange.request
        try:
            verdict, took = await loop.run_in_executor(self._thread, self._compare, request, body)
        except Exception:  # without a verdict it does not pass
            exchange.failed(self)
            return
        if took > SLOW:
            self.fault(f"{self.name}: ModSecurity took over {SLOW:g} s for a request, and others waited")
        answer = self._conclude(exchange, verdict)
        if answer:
            exchange.answer_with(answer)
        else:
            exchange.proceed(monotonic())

    def _compare(self, request: RequestHead, body: bytes) -> tuple[Verdict, float]:
        """Return the verdict, and the seconds that it took. In the thread."""
        began = time.monotonic()
        return self._engine.compare(request, body), time.monotonic() - began

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        asking = exchange.state[self.index]
        if isinstance(asking, asyncio.Task) and asking is not asyncio.current_task():
            asking.cancel()  # the client has gone

    async def close(self) -> None:
        await super().close()
        self._thread.shutdown(cancel_futures=True)
        self._engine.close()


class _Shown(FirewallFilter):
    """Adds X-Lbkit-Firewall, for `expose`: the rule that decided (0: none did), and the score."""

    def _conclude(self, exchange: ExchangeView, verdict: Verdict) -> Answer | None:
        before = exchange.state[self.index]  # a limit that is only monitored
        limited = isinstance(before, Verdict)
        exchange.state[self.index] = before._replace(score=verdict.score) if limited else verdict
        return super()._conclude(exchange, verdict)

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        verdict = exchange.state[self.index]
        if isinstance(verdict, Verdict):
            head.data += b"X-Lbkit-Firewall: %d; score=%d\r\n" % (verdict.rule, verdict.score)


class _ShownModSecurity(_Shown, ModSecurityFilter):
    pass


def firewall_filter(rules: FirewallRules, expose: bool = False) -> FirewallFilter:
    """Return the filter with the engine of these rules; with `expose`, answers show what it found.

    Raises OSError, ModSecurityError."""
    if rules.engine == "modsecurity":
        return (_ShownModSecurity if expose else ModSecurityFilter)(rules)
    return (_Shown if expose else FirewallFilter)(rules)


def modsecurity(rules: FirewallRules) -> ModSecurity:
    """Return ModSecurity with these rules. Raises ModSecurityError."""
    return ModSecurity(
        rules.rules or CORE_RULE_SET,
        threshold=rules.threshold,
        paranoia=rules.paranoia,
        methods=rules.methods,
        off=[number for number in rules.off if number not in LIMITS],
    )


def audit_record(request: RequestHead, verdict: Verdict, blocked: bool) -> dict[str, Any]:
    """Return what is recorded: no cookies, passwords, queries or bodies, but short pieces that matched."""
    path = request.target.partition(b"?")[0].decode("latin-1")
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "client": request.client,
        "method": request.method.decode("latin-1")[:20],
        "path": path[:LONGEST_PATH],
        "status": verdict.status,
        "blocked": blocked,
        "score": verdict.score,
        "findings": [finding._asdict() for finding in verdict.findings[:MOST_FINDINGS]],
    }
