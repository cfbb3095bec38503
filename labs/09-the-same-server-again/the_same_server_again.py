import hmac


class StickyCookie:
    """The value of a cookie, the *token*, that brings a visitor back to the same server."""

    def __init__(self, secret, life=3600.0):
        """`secret`: bytes that all balancers of the site know, and nobody else. `life`: seconds that a token
        is good for, counted from the moment when it was made."""
        self.secret = secret
        self.life = life

    def make(self, server, now):
        """Return a token, a text, for a visitor who is on the server of this name.

        `now`: seconds since 1970; parts of a second do not matter."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def read(self, token, servers, now):
        """Return the name of the server that a token means, or None: then the balancer chooses one anew.

        `servers`: name -> "up", "draining" or "down". `token`: whatever the client sent, "" without a cookie."""
        # YOUR CODE HERE
        raise NotImplementedError()

    def answer(self, token, server, now):
        """Return the token to set with the answer of this server, or None to set no cookie.

        `token`: what the client sent; "" without a cookie."""
        # YOUR CODE HERE
        raise NotImplementedError()
