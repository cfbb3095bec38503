import hmac


class StickyCookie:
    """The value of a cookie, the *token*, that brings a visitor back to the same server."""

    def __init__(self, secret, life=3600.0):
        self.secret, self.life = secret, life

    def make(self, server, now):
        """Return a token, a text, for a visitor who is on the server of this name."""
        raise NotImplementedError  # your code here

    def read(self, token, servers, now):
        """Return the name of the server that a token means, or None: then the balancer chooses one anew."""
        raise NotImplementedError  # your code here

    def answer(self, token, server, now):
        """Return the token to set with the answer of this server, or None to set no cookie."""
        raise NotImplementedError  # your code here
