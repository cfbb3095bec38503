"""fails: rubbish-counts-as-none

Takes for granted that the time is a number.
"""

import hmac


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.secret = secret
        self.life = life

    def make(self, server, now):
        made = int(now)
        return f"{made}.{self.signature(server, made)}"

    def signature(self, server, made):
        return hmac.digest(self.secret, f"{made} {server}".encode(), "sha256").hex()

    def made_for(self, token, server):
        made, _, signature = token.partition(".")
        if not token:
            return None
        due = self.signature(server, int(made))
        return int(made) if hmac.compare_digest(due.encode(), signature.encode("utf-8", "replace")) else None

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
