"""A TLS context for a listening socket; its certificates can be replaced while it is in use."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Self
from weakref import WeakKeyDictionary

from lbkit.net.answers import own_answer
from lbkit.net.messages import Answer
from lbkit.net.tls.certificates import ONLY_HTTP1, Certificates, TlsError, fingerprint
from lbkit.net.tls.rules import TlsRules

EXPIRED_AT_ONCE = 8  # handshakes that are looked at when another begins, so that each costs the same


class Handshake(ssl.SSLObject):
    """The server's end of one connection, which says why it refuses a client.

    When a handshake fails, event loops close the connection and drop what OpenSSL has written last: the
    alert that names the reason. So a failure is raised one call late, and looks like a wait for input until
    then: the loop sends what there is, and ends when the client answers or closes, or at the handshake's
    timeout.
    """

    _outgoing: ssl.MemoryBIO
    _failure: ssl.SSLError | None = None
    _on_end: Callable[[Handshake], object]

    def do_handshake(self) -> None:
        if self._failure:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._outgoing.read()  # an alert, which this client cannot read
                self._outgoing.write(plain_http_answer())
            if not self._outgoing.pending:
                raise
            self._failure = error
            raise ssl.SSLWantReadError(error.errno, error.strerror) from None
        self._on_end(self)


def plain_http_answer() -> bytes:
    """Return the answer to a request without TLS, on a port for TLS."""
    head, body = own_answer(Answer(400, "this port speaks HTTPS: use https://"))
    return b"".join((head.data, b"Connection: close\r\n\r\n", body))


class LiveContext(ssl.SSLContext):
    """Looks like one context to an event loop, but its certificates can be replaced.

    Connections keep the certificates they began with, so a reload interrupts none.
    """

    rules: TlsRules
    protocols: Sequence[str]
    certificates: Certificates
    pending: WeakKeyDictionary[Handshake, float]  # those that have not ended, and when they began
    full: Callable[[int], bool]
    _seen: tuple[tuple[int, ...], ...]  # the files that were loaded last, or tried

    def __new__(cls, rules: TlsRules, protocols: Sequence[str] = ONLY_HTTP1) -> Self:
        """`protocols`: what clients may choose by ALPN.

        Raises TlsError with a line for each file that cannot be used."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.rules = rules
        made.protocols = protocols
        made.pending = WeakKeyDictionary()
        made.full = lambda pending: False  # whether one more client is too many; the proxy sets it
        made._seen = fingerprint(rules.files())
        made.certificates = made._load()
        return made

    def _load(self) -> Certificates:
        certificates = Certificates(self.rules, self.protocols)
        certificates.front.sslobject_class = Handshake
        return certificates

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any) -> Any:
        """Begin a handshake, which fails at once if there are too many clients."""
        made: Any = self.certificates.front.wrap_bio(incoming, outgoing, *args, **options)
        made._outgoing = outgoing
        if self.full(self.waiting()):
            made._failure = ssl.SSLError("too many connections")
            return made
        made._on_end = self.pending.pop
        self.pending[made] = time.monotonic()
        return made

    def waiting(self) -> int:
        """Return the number of handshakes that have not ended.

        asyncio does not report a handshake that is given up, so it counts until its object is collected, at
        the latest after its timeout."""
        oldest = time.monotonic() - self.rules.handshake
        for handshake, began in list(islice(self.pending.items(), EXPIRED_AT_ONCE)):
            if began < oldest:
                self.pending.pop(handshake, None)
        return len(self.pending)

    def reload(self) -> bool:
        """Load the files again if one of them has changed; return whether they did.

        Raises TlsError for files that cannot be used: then nothing changes, and they are not tried again
        before the next change."""
        seen = fingerprint(self.rules.files())
        if seen == self._seen:
            return False
        self._seen = seen
        self.certificates = self._load()
        return True

    async def watch(self, say: Callable[[str], object]) -> None:
        """Load changed files, until cancelled. `say` gets a line for each change."""
        loop = asyncio.get_running_loop()
        while self.rules.reload:
            await asyncio.sleep(self.rules.reload)
            try:
                if await loop.run_in_executor(None, self.reload):
                    say("tls: the files have changed; new connections get the new certificates")
            except TlsError as error:
                for line in str(error).splitlines():
                    say(f"{line} (the certificates loaded before stay in use)")
