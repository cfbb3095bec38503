import hmac


class StickyCookie:
    """The value of a cookie, the *token*, that brings a visitor back to the same server."""

    def __init__(self, secret, life=3600.0):
        self.secret, self.life = secret, life

    def make(self, server, now):
        """Return a token, a text, for a visitor who is on the server of this name."""
        ### BEGIN SOLUTION
        made = int(now)
        return f"{made}.{self.signature(server, made)}"

    def signature(self, server, made):
        return hmac.digest(self.secret, f"{made} {server}".encode(), "sha256").hex()

    def made_for(self, token, server):
        """Return when a token was made for this server; None if it was not, or not by a balancer."""
        made, _, signature = token.partition(".")
        if not (made.isascii() and made.isdigit() and len(made) < 20):
            return None
        due = self.signature(server, made)
        return int(made) if hmac.compare_digest(due.encode(), signature.encode("utf-8", "replace")) else None
        ### END SOLUTION

    def read(self, token, servers, now):
        """Return the name of the server that a token means, or None: then the balancer chooses one anew."""
        ### BEGIN SOLUTION
        for server, state in servers.items():
            made = self.made_for(token, server)
            if made is not None and now <= made + self.life:
                return server if state == "up" else None
        return None
        ### END SOLUTION

    def answer(self, token, server, now):
        """Return the token to set with the answer of this server, or None to set no cookie."""
        ### BEGIN SOLUTION
        made = self.made_for(token, server)
        if made is not None and now <= made + self.life / 2:
            return None
        return self.make(server, now)
        ### END SOLUTION
