"""What a health check sends, and which answers pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lbkit.core.backend import Backend
from lbkit.core.options import named_fields

KINDS = ("http", "tcp", "tls", "grpc", "call")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@named_fields
@dataclass(frozen=True, slots=True)
class Probe:
    """One request of a health check.

    `kind`: "http" sends a request, "tcp" opens a connection, "tls" also shakes hands, "grpc" asks gRPC's
    health service about `service` ("": the whole server), which has to be SERVING, and "call" calls your own
    function. `port`: if it is another one. Of http: `host` is the backend's address unless given; `expect`
    lists statuses and ranges of them, as in "200-299, 304"; `body` has to be in the answer's first 64 KiB.
    `call`: a function, async or not, of a Backend; it returns True if the backend passes, and False or a text
    that says why if not. What it raises is a failed check, too. The simulator never calls it: there, and
    with "grpc", a server passes while it is up and does not hang.
    (HAProxy: option httpchk, http-check expect; nginx Plus: health_check, match.) Raises ValueError.
    """

    kind: str = "http"
    method: str = "GET"
    path: str = "/health"
    host: str = ""
    expect: str = "200-399"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    service: str = ""
    call: Callable[[Backend], object] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}: use one of {', '.join(KINDS)}")
        if (self.kind == "call") is not callable(self.call):
            raise ValueError(f"call is {self.call!r}: use a function of a backend, with kind 'call' only")
        if self.service and self.kind != "grpc":
            raise ValueError(f"service is {self.service!r}: it is for kind 'grpc' only")
        if not _TOKEN.fullmatch(self.method):
            raise ValueError(f"method is {self.method!r}: use a method of HTTP, such as GET or HEAD")
        if not re.fullmatch(r"/[!-~]*", self.path):
            raise ValueError(f"path is {self.path!r}: use one that begins with / and has no spaces")
        if not re.fullmatch(r"[!-~]*", self.host):
            raise ValueError(f"host is {self.host!r}: use a name, or host:port")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or not re.fullmatch(r"[\t -~]*", value):
                raise ValueError(
                    f"headers has {name!r}: {value!r}: use a field's name and a text in one line"
                )
        if self.port is not None and not 0 < self.port < 65536:
            raise ValueError(f"port is {self.port}: use a number from 1 to 65535")
        if not self.statuses():
            raise ValueError(f"expect is {self.expect!r}: use statuses and ranges, such as 200-299, 304")

    def statuses(self) -> list[tuple[int, int]]:
        """Return the statuses that pass, as ranges with both ends; empty if `expect` has anything else."""
        ranges = []
        for part in self.expect.split(","):
            found = re.fullmatch(r"\s*(\d{3})(?:\s*-\s*(\d{3}))?\s*", part)
            if found is None:
                return []
            ranges.append((int(found[1]), int(found[2] or found[1])))
        return ranges

    def fault(self, status: int, body: bytes) -> str:
        """Return why an answer does not pass; empty if it does."""
        if not any(low <= status <= high for low, high in self.statuses()):
            return f"status {status}"
        if self.body and self.body.encode() not in body:
            return f"{self.body!r} is not in the answer"
        return ""

    def request(self, address: str) -> bytes:
        """Return the bytes to send to a backend; `address` is its host and port."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host or address}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += ["User-Agent: lbkit health check", "Connection: close"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
