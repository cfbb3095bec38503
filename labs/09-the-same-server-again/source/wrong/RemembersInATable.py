"""fails: another-balancer-reads-it, signatures-are-compared-in-constant-time

Draws tokens at random and remembers them, where no second balancer can look.
"""

import secrets


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.life = life
        self.sessions = {}

    def make(self, server, now):
        token = secrets.token_urlsafe(24)
        self.sessions[token] = server, now
        return token

    def read(self, token, servers, now):
        server, made = self.sessions.get(token, ("", 0.0))
        return server if servers.get(server) == "up" and now <= made + self.life else None

    def answer(self, token, server, now):
        known, made = self.sessions.get(token, ("", 0.0))
        return None if known == server and now <= made + self.life / 2 else self.make(server, now)
