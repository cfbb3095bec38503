"""A web application firewall: rules about requests, with scores; from a threshold on, a request is refused.

Two kinds of rules: *limits* refuse by themselves (a network, a method, a size), *signatures* of attacks add
up to an anomaly score, as in the OWASP Core Rule Set, so that one doubtful word does no harm.

Text is compared as the application will read it, after decoding, and decoding is where filters are evaded:
`%252e` is `%2e`, is `.`. So it is repeated until nothing changes, and doing it more than once scores.

A firewall of signatures is a second line: it stops what is known and loud, and what it has not seen passes.
It does not replace bound parameters in SQL, and escaping in HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from lbkit.core.networks import Network
from lbkit.core.plain_text import SEEN, plain
from lbkit.core.prefilter import Sieve
from lbkit.core.request_texts import EXCERPT, Inspected, texts_of
from lbkit.core.signatures import SIGNATURES, Where

UNNAMED = 1  # the id of no rule: an engine has refused a request, and did not say why
SHORTEST = 3  # characters that any signature needs

# Limits and what is seen while decoding; the signatures have ids from 1000 on.
LIMITS = {
    101: ("network", 403, "a client in a network that is denied"),
    102: ("method", 405, "a method that is not allowed"),
    103: ("size", 414, "a target that is too long"),
    104: ("size", 400, "too many arguments"),
    105: ("size", 413, "a body that is too long"),
    106: ("encoding", 415, "a body in a coding that cannot be looked through"),
}
KNOWN = frozenset((*LIMITS, *SEEN, *(signature.id for signature in SIGNATURES)))


class Finding(NamedTuple):
    """A rule that a request breaks."""

    id: int
    attack: str
    score: int  # 0: of a limit, which refuses by itself
    part: str  # of the request: "path", "argument q", "field referer"
    excerpt: str = ""  # what matched, cut; "[hidden]" if it may be a secret


class Verdict(NamedTuple):
    """What the firewall makes of a request. `status`: of the answer that refuses it, 0 to let it pass."""

    status: int
    score: int
    findings: tuple[Finding, ...]

    @property
    def rule(self) -> int:
        """The id of the rule that scores most in a refusal; 0 without one, UNNAMED if no rule is known."""
        if not self.status:
            return 0
        return max(self.findings, key=lambda finding: finding.score).id if self.findings else UNNAMED


PASS = Verdict(0, 0, ())


class Firewall:
    """Decides about requests. `off`: ids of rules that are not used, for an application that they disturb."""

    def __init__(
        self,
        threshold: int = 5,
        allow: Sequence[Network] = (),
        deny: Sequence[Network] = (),
        methods: Sequence[str] = (),
        max_target: int = 4096,
        max_arguments: int = 200,
        max_body: int | None = None,
        off: Iterable[int] = (),
    ) -> None:
        """`allow`: networks that are not looked at. `methods`: those allowed; empty: any. Sizes in bytes."""
        self.threshold = threshold
        self.allow, self.deny = tuple(allow), tuple(deny)
        self.methods = frozenset(method.encode() for method in methods)
        self.max_target, self.max_arguments, self.max_body = max_target, max_arguments, max_body
        self.off = frozenset(off)
        used = [signature for signature in SIGNATURES if signature.id not in self.off]
        self.sieves = {where: Sieve([s for s in used if where in s.where]) for where in Where}

    def inspect(self, request: Inspected, body: bytes = b"", content_type: bytes = b"") -> Verdict:
        """Return the verdict about a request, and about as much of its body as is given. Never raises."""
        verdict = self.limit(request)
        return self.compare(request, body, content_type) if verdict is None else verdict

    def limit(self, request: Inspected) -> Verdict | None:
        """Return the refusal by the first limit that the request exceeds, or None.

        PASS for a client that is not looked at."""
        if self.allow and _is_in(request.client, self.allow):
            return PASS
        for number in LIMITS:
            if self._exceeds(number, request) and (refusal := self.refusal(number)):
                return refusal
        return None

    def refusal(self, number: int) -> Verdict | None:
        """Return the verdict of this limit, or None if it is off."""
        if number in self.off:
            return None
        attack, status, _ = LIMITS[number]
        return Verdict(status, 0, (Finding(number, attack, 0, attack),))

    def _exceeds(self, number: int, request: Inspected) -> bool:
        match number:
            case 101:
                return bool(self.deny) and _is_in(request.client, self.deny)
            case 102:
                return bool(self.methods) and request.method not in self.methods
            case 103:
                return len(request.target) > self.max_target
            case 104:
                return request.target.partition(b"?")[2].count(b"&") >= self.max_arguments
            case 105:
                return self.max_body is not None and request.length > self.max_body
        return False  # 106 is known only with the body

    def compare(self, request: Inspected, body: bytes = b"", content_type: bytes = b"") -> Verdict:
        """Return the verdict of the signatures alone."""
        found: dict[int, Finding] = {}  # each rule counts once
        for where, part, secret, raw in texts_of(request, body, content_type, self.max_arguments):
            for finding in self._compare(where, part, secret, raw):
                found.setdefault(finding.id, finding)
        score = sum(finding.score for finding in found.values())
        return Verdict(403 if score >= self.threshold else 0, score, tuple(found.values()))

    def _compare(self, where: Where, part: str, secret: bool, raw: bytes) -> Iterator[Finding]:
        if where is Where.AGENT and not raw:
            yield from self._seen((206,), part)
        if len(raw) < SHORTEST or raw.isalnum():  # nothing matches a word or a number
            return
        text, seen = plain(raw, where)
        yield from self._seen(seen, part)
        for signature in self.sieves[where].candidates(text):
            if match := signature.pattern.search(text):
                excerpt = "[hidden]" if secret else match[0][:EXCERPT]
                yield Finding(signature.id, signature.attack, signature.score, part, excerpt)

    def _seen(self, numbers: Iterable[int], part: str) -> Iterator[Finding]:
        for number in numbers:
            if number not in self.off:
                attack, score, _ = SEEN[number]
                yield Finding(number, attack, score, part)


def _is_in(client: str, networks: Sequence[Network]) -> bool:
    if not networks:
        return False
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in networks)
