"""DNS cookies: a client that shows one has received an answer at its address, so the address is not forged.

RFC 7873, in the form of RFC 9018 (version, moment, hash) with BLAKE2s in place of SipHash, which Python does
not have: only several servers of one address would need the same hash.
"""

from __future__ import annotations

import secrets
from hashlib import blake2s
from hmac import compare_digest

VERSION = b"\x01\x00\x00\x00"
OLDEST, NEWEST = 3600, 300  # seconds in the past and in the future in which a cookie is valid (RFC 9018, 4.3)


class Cookies:
    """Makes server cookies, and knows its own."""

    def __init__(self, secret: bytes = b"", strict: bool = False) -> None:
        """`strict`: a client that uses cookies, but has not shown ours, has to ask again over UDP."""
        self._secret = secret or secrets.token_bytes(16)
        self.strict = strict

    def make(self, client_cookie: bytes, address: str, now: float) -> bytes:
        """Return the 16 bytes for a client at `address`; `now`: seconds since 1970."""
        start = VERSION + (int(now) % 2**32).to_bytes(4, "big")
        told = client_cookie + start + address.encode()
        return start + blake2s(told, key=self._secret, digest_size=8).digest()

    def knows(self, client_cookie: bytes, cookie: bytes, address: str, now: float) -> bool:
        """Return whether a cookie is one of ours for this client, and not too old."""
        if len(cookie) != 16 or cookie[:4] != VERSION:
            return False
        age = (int(now) - int.from_bytes(cookie[4:8], "big")) % 2**32
        if OLDEST < age < 2**32 - NEWEST:
            return False
        return compare_digest(cookie, self.make(client_cookie, address, now - age))
