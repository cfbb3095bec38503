"""Mirrors: copies of requests for a shadow pool, and how its answers differ. No client waits for one.

A new version gets the requests of real users before any user gets its answers. The answers to the copies are
compared with those that clients got, counted, and thrown away. What a mirror costs is bounded: so many copies
at once, so many bytes of a body, so many seconds.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

from lbkit.core.options import named_fields, number, whole

EXAMPLES = 10  # of requests with different answers, which a report has: the last ones

# Why a request that was to be copied was not.
TOO_BIG = "body too big"
TOO_MANY = "too many copies at once"
UNFINISHED = "not finished"  # its client left, or it was answered before its body was here
UPGRADE = "connection upgrade"


@named_fields
@dataclass(frozen=True, slots=True)
class Mirror:
    """A pool that gets copies of a share of the requests; its answers are compared, and thrown away.

    A copy does what the request does: the shadow pool must not write to the database of the real one. What
    is beyond `at_once` copies under way, or has a body of more than `body` bytes, is not copied, only
    counted. `timeout`: seconds that a copy may take. `compare_body`: by a hash; else only status and length
    are compared, which is right for answers with a time or a token in them. Raises ValueError.
    """

    pool: str
    share: float = 1.0
    at_once: int = 32
    body: int = 65536
    timeout: float = 10.0
    compare_body: bool = True

    def __post_init__(self) -> None:
        number(0, 1, share=self.share)
        whole(1, 10_000, at_once=self.at_once)
        whole(0, 2**20, body=self.body)
        number(0.001, 3600, timeout=self.timeout)


class Seen(NamedTuple):
    """An answer, as far as it is compared."""

    status: int  # 0: there was none
    length: int = 0  # of the body; below 0 if it was not seen
    digest: bytes = b""  # of the body; empty if bodies are not compared
    seconds: float = 0.0  # from the complete request to the head of the answer


def differences(ours: Seen, theirs: Seen) -> tuple[str, ...]:
    """Return in what two answers differ, the coarsest first; a body of another length is one difference."""
    if ours.status != theirs.status:
        return ("status",)
    if ours.length < 0:
        return ()
    if ours.length != theirs.length:
        return ("length",)
    return ("body",) if ours.digest != theirs.digest else ()


class Difference(NamedTuple):
    """A request with two different answers."""

    request: str
    ours: Seen
    theirs: Seen


class MirrorReport(NamedTuple):
    """What a mirror has shown so far."""

    rule: str
    pool: str
    copies: int  # sent to the shadow pool
    same: int  # answered as the clients were
    differ: dict[str, int]  # "status", "length" or "body" -> copies
    failed: int  # copies without an answer
    skipped: dict[str, int]  # why -> requests that were not copied, or not compared
    seconds: tuple[float, float]  # mean time of an answer that clients got, and of a copy's
    examples: tuple[Difference, ...]

    def __str__(self) -> str:
        def listed(counts: dict[str, int]) -> str:
            return "".join(f", {count} {what}" for what, count in counts.items())

        ours, theirs = (1000 * seconds for seconds in self.seconds)
        return (
            f"{self.rule} to {self.pool}: {self.copies} copies, {self.same} the same"
            f"{listed({f'differ in {what}': count for what, count in self.differ.items()})}"
            f"{listed({'failed': self.failed}) if self.failed else ''}"
            f"; {theirs:.1f} ms instead of {ours:.1f} ms"
            f"{'; not compared' + listed(self.skipped).replace(',', ':', 1) if self.skipped else ''}"
        )


class MirrorCounts:
    """Counts what comes of a mirror. Its memory does not grow with the requests."""

    def __init__(self, rule: str, mirror: Mirror) -> None:
        self.rule = rule
        self.mirror = mirror
        self.under_way = 0  # places taken, of `at_once`
        self.copies = 0
        self.compared = 0
        self.failed = 0
        self.differ: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._seconds = [0.0, 0.0]
        self._examples: deque[Difference] = deque(maxlen=EXAMPLES)

    def takes(self, length: int) -> bool:
        """Return whether a request with a body of so many bytes (negative: unknown) is copied.

        If it is, a place is taken, which the caller frees with `leave`."""
        if length > self.mirror.body:
            self.skipped[TOO_BIG] += 1
        elif self.under_way >= self.mirror.at_once:
            self.skipped[TOO_MANY] += 1
        else:
            self.under_way += 1
            return True
        return False

    def leave(self) -> None:
        self.under_way -= 1

    def compare(self, request: str, ours: Seen, theirs: Seen) -> None:
        """Compare the answer that a client got with the copy's."""
        if not theirs.status:
            self.failed += 1
            return
        self.compared += 1
        self._seconds[0] += ours.seconds
        self._seconds[1] += theirs.seconds
        if found := differences(ours, theirs):
            self.differ.update(found)
            self._examples.append(Difference(request[:200], ours, theirs))

    def report(self) -> MirrorReport:
        count = max(1, self.compared)
        return MirrorReport(
            self.rule,
            self.mirror.pool,
            self.copies,
            self.compared - self.differ.total(),
            dict(self.differ),
            self.failed,
            dict(self.skipped),
            (self._seconds[0] / count, self._seconds[1] / count),
            tuple(self._examples),
        )
