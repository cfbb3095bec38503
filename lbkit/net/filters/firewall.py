"""The firewall: refuses requests that look like attacks, or only records them. The rules are `core`'s.

Begin with `mode = "monitor"`, read the records, switch off what disturbs the application, then block.
Limits of clients are other filters' (`rate_limits`, `admission`); slow heads and bodies end by `timeouts`. A
body with a Content-Encoding is not decoded, so its text is not seen.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import flag, text, whole, word
from lbkit.core.firewall import KNOWN, Firewall, Verdict, is_text
from lbkit.core.options import named_fields
from lbkit.net.filters.base import Filter
from lbkit.net.messages import Answer, ExchangeView, Hold, RequestHead
from lbkit.net.peer import Network, trusted_networks

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RECORDS = 1000  # that are kept in memory
MOST_FINDINGS = 20  # of a record
LONGEST_PATH = 200  # characters


def _tuple(what: Any) -> Any:
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str | bytes) else what


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks. Raises ValueError."""
    try:
        return trusted_networks(tuple(texts))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("trusted: ")) from None


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f'{attribute.name} is {value!r}: use a list such as ["10.0.0.0/8"]')
    try:
        networks(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


@named_fields
@frozen
class FirewallRules:
    """What the firewall refuses. `mode`: "monitor" only records it, "block" refuses it.

    `threshold`: of the anomaly score, to which signatures add 2 to 5 each. `allow`: networks that are not
    looked at. `deny`: networks that are refused. `methods`: those allowed; empty: any. Sizes in bytes.
    `bodies`: looks at the first 64 KiB of forms, JSON and other texts, too; a request waits until they are
    here. `off`: ids of rules that are not used. `audit`: a file for records, or "-" for standard error.
    """

    mode: str = field(default="monitor", validator=word(("monitor", "block")))
    threshold: int = field(default=5, validator=whole(1))
    allow: tuple[str, ...] = field(default=(), converter=_tuple, validator=_networks)
    deny: tuple[str, ...] = field(default=(), converter=_tuple, validator=_networks)
    methods: tuple[str, ...] = field(default=METHODS, converter=_tuple)
    max_target: int = field(default=4096, validator=whole(1))
    max_arguments: int = field(default=200, validator=whole(1, 10_000))
    max_body: int | None = field(default=None, validator=optional(whole(0)))
    bodies: bool = field(default=True, validator=flag)
    off: tuple[int, ...] = field(default=(), converter=_tuple)
    audit: str = field(default="", validator=text())

    @methods.validator
    def _methods(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or not all(isinstance(m, str) and m.isalpha() for m in value):
            raise ValueError(f'methods is {value!r}: use a list such as ["GET", "POST"]')
        if wrong := [method for method in value if method != method.upper()]:
            raise ValueError(f"methods has {wrong[0]!r}: methods have case; use {wrong[0].upper()}")

    @off.validator
    def _ids(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple):
            raise ValueError(f"off is {value!r}: use a list of ids such as [1006]")
        for one in value:
            if isinstance(one, bool) or not isinstance(one, int) or one not in KNOWN:
                raise ValueError(
                    f"off has {one!r}: use ids that records show, from {min(KNOWN)} to {max(KNOWN)}"
                )

    def firewall(self) -> Firewall:
        return Firewall(
            threshold=self.threshold,
            allow=networks(self.allow),
            deny=networks(self.deny),
            methods=self.methods,
            max_target=self.max_target,
            max_arguments=self.max_arguments,
            max_body=self.max_body,
            off=self.off,
        )


class FirewallFilter(Filter):
    """Asks the firewall about each request: about its head first, then, if that is harmless, about its body.

    `records` has the last ones that were refused, or would have been. Raises OSError."""

    name = "firewall"

    def __init__(self, rules: FirewallRules) -> None:
        self.firewall = rules.firewall()
        self.blocks = rules.mode == "block"
        self.records: deque[dict[str, Any]] = deque(maxlen=RECORDS)
        self._hold = Hold(self.on_body) if rules.bodies else None
        self._allowed = b"Allow: %b\r\n" % ", ".join(rules.methods).encode()
        self._own = rules.audit not in ("", "-")
        self._file: TextIO | None = sys.stderr if rules.audit == "-" else None
        if self._own:
            self._file = open(rules.audit, "a", encoding="ascii", buffering=1)  # noqa: SIM115 - see close

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        request = exchange.request
        verdict = self.firewall.inspect(request)
        if verdict.status:
            return self._refusal(request, verdict)
        return self._hold if request.length and self._is_readable(request) else None

    @staticmethod
    def _is_readable(request: RequestHead) -> bool:
        """Whether there is a text to wait for: an upload or a stream of gRPC goes on at once."""
        return is_text(request.field(b"content-type")) and not request.field(b"content-encoding")

    def on_body(self, exchange: ExchangeView, body: bytes, now: float) -> None:
        """Decide about a request whose body is here, or the beginning of it."""
        request = exchange.request
        verdict = self.firewall.inspect(request, body, request.field(b"content-type"))
        answer = self._refusal(request, verdict) if verdict.status else None
        if answer:
            exchange.answer_with(answer)
        else:
            exchange.proceed(now)

    def _refusal(self, request: RequestHead, verdict: Verdict) -> Answer | None:
        """Record it; return the answer, or None in monitor mode. The client does not learn what was found."""
        self.records.append(record := audit_record(request, verdict, self.blocks))
        if self._file:
            print(json.dumps(record), file=self._file)
        if not self.blocks:
            return None
        return Answer(verdict.status, "refused", self._allowed if verdict.status == 405 else b"")

    async def close(self) -> None:
        if self._own and self._file:
            self._file.close()


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
