"""fails: without-the-secret-nothing-can-be-guessed, a-changed-token-counts-as-none, a-forged-token-counts-as-none, signatures-are-compared-in-constant-time

Signs nothing: a token is a hash of the name, and a time.
"""

from hashlib import sha256


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.secret, self.life = secret, life

    def make(self, server, now):
        return f"{sha256(server.encode()).hexdigest()}.{int(now)}"

    def made_for(self, token, server):
        name, _, made = token.partition(".")
        known = name == sha256(server.encode()).hexdigest() and made.isascii() and made.isdigit()
        return int(made[:15]) if known else None

    def read(self, token, servers, now):
        for server, state in servers.items():
            made = self.made_for(token, server)
            if made is not None and now <= made + self.life:
                return server if state == "up" else None
        return None

    def answer(self, token, server, now):
        made = self.made_for(token, server)
        if made is not None and now <= made + self.life / 2:
            return None
        return self.make(server, now)
