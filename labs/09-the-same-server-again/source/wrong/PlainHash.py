"""fails: without-the-secret-nothing-can-be-guessed

Hides the name behind a hash without a key, so that whoever guesses the name finds it.
"""

import hashlib
import hmac


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.secret, self.life = secret, life

    def hidden(self, server):
        return hashlib.sha256(server.encode()).hexdigest()[:16]

    def make(self, server, now):
        content = f"{self.hidden(server)}.{int(now)}"
        return f"{content}.{hmac.digest(self.secret, content.encode(), 'sha256').hex()}"

    def opened(self, token):
        content, _, signature = token.rpartition(".")
        due = hmac.digest(self.secret, content.encode("utf-8", "replace"), "sha256").hex()
        if not hmac.compare_digest(due.encode(), signature.encode("utf-8", "replace")):
            return "", 0
        name, made = content.split(".")
        return name, int(made)

    def read(self, token, servers, now):
        name, made = self.opened(token)
        if now > made + self.life:
            return None
        return next((s for s, state in servers.items() if self.hidden(s) == name and state == "up"), None)

    def answer(self, token, server, now):
        name, made = self.opened(token)
        if name == self.hidden(server) and now <= made + self.life / 2:
            return None
        return self.make(server, now)
