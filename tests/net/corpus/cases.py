"""What a case says, how it is written down, and what must come out.

A head that passes is written as a difference, one field a line:

     GET / HTTP/1.1          sent, and passed on
    -Connection: close       sent, and dropped
    +Host: b                 passed on, and not sent

What a proxy adds to each request (Via and so on) is not written down: `forwarded_head` knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

ADDRESS = b"{address}"  # stands for the host and port that the client has connected to
NOTHING: frozenset[int] = frozenset()


def lines_of(difference: bytes) -> tuple[list[bytes], list[bytes]]:
    """The lines that are sent, and those that are passed on."""
    sent, kept = [], []
    for line in difference.removesuffix(b"\n").split(b"\n"):
        mark, text = line[:1], line[1:]
        if mark not in (b" ", b"-", b"+"):
            raise ValueError(f"a line starts with ' ', '-' or '+': {line!r}")
        if mark != b"+":
            sent.append(text)
        if mark != b"-":
            kept.append(text)
    return sent, kept


def values_in(lines: list[bytes], name: bytes) -> list[bytes]:
    pairs = (line.partition(b":") for line in lines[1:])
    return [value.strip(b" \t") for key, _, value in pairs if key.lower() == name]


@dataclass(frozen=True)
class Request:
    """One request of a case."""

    sent: list[bytes]
    kept: list[bytes]
    raw: bytes = b""  # the body as it is sent
    content: bytes = b""  # and what is in it
    upgrade: bool = False

    @property
    def data(self) -> bytes:
        return b"\r\n".join([*self.sent, b"", b""]) + self.raw

    @property
    def method(self) -> bytes:
        return self.sent[0].split(b" ")[0]

    @property
    def http11(self) -> bool:
        return self.sent[0].endswith(b"HTTP/1.1")

    @property
    def chunked(self) -> bool:
        return bool(values_in(self.sent, b"transfer-encoding"))


def forwarded_head(request: Request, address: bytes, trusted: bool) -> bytes:
    """The head that the backend gets. This is the one place that knows the format."""
    kept = [line.replace(ADDRESS, address) for line in request.kept]
    host = (values_in(kept, b"host") or [b""])[0]
    # The forwarding fields of a trusted peer; those of others are dropped.
    told = request.sent if trusted else request.sent[:1]
    via = b", ".join([*values_in(request.sent, b"via"), b"1.1 lbkit" if request.http11 else b"1.0 lbkit"])
    element = b'for=127.0.0.1;host="%b";proto=http' % host
    lines = [
        *kept,
        b"Via: " + via,
        b"X-Forwarded-For: " + b", ".join([*values_in(told, b"x-forwarded-for"), b"127.0.0.1"]),
        b"X-Forwarded-Proto: " + (values_in(told, b"x-forwarded-proto") or [b"http"])[0],
        b"X-Forwarded-Host: " + (values_in(told, b"x-forwarded-host") or [host])[0],
        b"Forwarded: " + b", ".join([*values_in(told, b"forwarded"), element]),
        *([b"Connection: upgrade", b"Upgrade: websocket"] if request.upgrade else []),
        *([b"Transfer-Encoding: chunked"] if request.chunked else []),
    ]
    return b"\r\n".join([*lines, b"", b""])


def host_first(head: bytes) -> bytes:
    """Where a Host stands that the proxy has written itself is its own choice."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    lines.sort(key=lambda line: not line.lower().startswith(b"host:"))
    return b"\r\n".join([first, *lines, b"", b""])


@dataclass(frozen=True)
class Case:
    """What one client sends on one connection, and what must become of it."""

    name: str
    data: bytes
    requests: tuple[Request, ...] = ()  # that reach the backend, whole
    refused: frozenset[int] = NOTHING  # then this answer, one of these statuses, and the connection ends
    either: bool = False  # `requests` may be refused, too, with one of these
    keep: bool = True  # the connection can be used again
    trusted: bool = False
    limits: tuple[tuple[str, int], ...] = ()
    begun: bool = False  # the backend may see the beginning of the refused request, never all of it

    def __repr__(self) -> str:
        return self.name


C = TypeVar("C", "Case", "Answer")


class Named(Generic[C]):
    """Cases by name; each name once."""

    def __init__(self) -> None:
        self.cases: dict[str, C] = {}

    def add(self, case: C) -> None:
        if case.name in self.cases:
            raise ValueError(f"there are two cases {case.name!r}")
        self.cases[case.name] = case


class Table(Named[Case]):
    def passes(
        self,
        name: str,
        difference: bytes,
        raw: bytes = b"",
        content: bytes | None = None,
        *,
        before: bytes = b"",
        keep: bool = True,
        upgrade: bool = False,
        trusted: bool = False,
        either: tuple[int, ...] = (),
        limits: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """One request that is passed on. `either`: or refused with one of these statuses."""
        request = Request(*lines_of(difference), raw, raw if content is None else content, upgrade)
        self.add(
            Case(
                name,
                before + request.data,
                (request,),
                frozenset(either),
                either=bool(either),
                keep=keep,
                trusted=trusted,
                limits=limits,
                begun=bool(either),
            )
        )

    def refuses(
        self,
        name: str,
        data: bytes,
        *statuses: int,
        begun: bool = False,
        limits: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """Nothing of it reaches a backend as a whole request; 400 unless said otherwise."""
        self.add(Case(name, data, (), frozenset(statuses or (400,)), keep=False, limits=limits, begun=begun))

    def pipeline(
        self,
        name: str,
        *requests: Request,
        then: bytes = b"",
        refused: tuple[int, ...] = (),
        keep: bool = True,
        between: bytes = b"",
        begun: bool = False,
    ) -> None:
        """Requests sent without waiting; `then` comes behind and is `refused`, or never looked at."""
        self.add(
            Case(
                name,
                between.join(r.data for r in requests) + then,
                requests,
                frozenset(refused),
                keep=keep and not refused,
                begun=begun,
            )
        )


def request(difference: bytes, raw: bytes = b"", content: bytes | None = None) -> Request:
    return Request(*lines_of(difference), raw, raw if content is None else content)


# -- answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a backend sends for one request, and what its client must get."""

    name: str
    data: bytes
    heads: tuple[bytes, ...] = ()  # the client's, interim ones first; without Date if the proxy adds it
    content: bytes = b""
    then: str = "keep"  # the backend "keep"s its connection, "close"s or "reset"s it
    end: str = "open"  # the client's connection: "open", "closed" or "reset"
    request: bytes = b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n"
    tunnel: bool = False

    @property
    def method(self) -> bytes:
        return self.request.split(b" ")[0]

    @property
    def cut(self) -> bool:
        return self.end == "reset"

    def __repr__(self) -> str:
        return self.name


BAD_GATEWAY = b"502 Bad Gateway\n"
REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\n\r\n"
HEAD_REQUEST = b"HEAD /case HTTP/1.1\r\nHost: a\r\n\r\n"
OLD_REQUEST = b"GET /case HTTP/1.0\r\nHost: a\r\n\r\n"
OLD_KEPT = b"GET /case HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
LAST_REQUEST = b"GET /case HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST_REQUEST = b"POST /case HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
UPGRADE_REQUEST = b"GET /case HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Answers(Named[Answer]):
    def passes(
        self,
        name: str,
        *differences: bytes,
        raw: bytes = b"",
        content: bytes | None = None,
        then: str = "keep",
        end: str = "open",
        request: bytes = Answer.request,
        behind: bytes = b"",
        tunnel: bool = False,
    ) -> None:
        """Heads, interim ones first, each as a difference; `behind` follows the answer unasked."""
        sent, kept = zip(*map(lines_of, differences), strict=True)
        heads = tuple(b"\r\n".join([*lines, b"", b""]) for lines in kept if lines)
        data = b"".join(b"\r\n".join([*lines, b"", b""]) for lines in sent) + raw + behind
        body = raw if content is None else content
        self.add(Answer(name, data, heads, body, then, end, request, tunnel))

    def refuses(self, name: str, data: bytes, *, then: str = "keep", request: bytes = Answer.request) -> None:
        """No answer for a client: it gets a 502 of ours, and its connection stays good."""
        self.add(Answer(name, data, (REFUSED,), BAD_GATEWAY, then, "open", request))

    def cuts(
        self,
        name: str,
        data: bytes,
        *,
        then: str = "close",
        request: bytes = Answer.request,
    ) -> None:
        """The answer goes wrong after its head has gone out: the client must see that it is not whole."""
        self.add(Answer(name, data, (), b"", then, "reset", request))
