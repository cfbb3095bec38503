"""Random salt in each token, so that two visitors of one server cannot tell that they are; one pattern reads it."""

import re
from hashlib import blake2b
from secrets import compare_digest, token_hex

TOKEN = re.compile(r"([0-9a-f]{16})-([0-9a-f]{10})-([0-9a-f]{40})", re.ASCII)


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.secret, self.life = secret, life

    def make(self, server, now):
        return self._token(token_hex(8), f"{int(now):010x}", server)

    def _token(self, salt, made, server):
        key = self.secret[:64]
        seal = blake2b(f"{salt}-{made}-{server}".encode(), key=key, digest_size=20).hexdigest()
        return f"{salt}-{made}-{seal}"

    def _age(self, token, server, now):
        """Seconds since a token was made for a server; infinite if it never was."""
        parts = TOKEN.fullmatch(token)
        if parts is None or not compare_digest(token, self._token(parts[1], parts[2], server)):
            return float("inf")
        return now - int(parts[2], 16)

    def read(self, token, servers, now):
        usable = (server for server, state in servers.items() if state == "up")
        return next((server for server in usable if self._age(token, server, now) <= self.life), None)

    def answer(self, token, server, now):
        return None if self._age(token, server, now) < self.life / 2 else self.make(server, now)
