"""What the checks of this lab share: servers, secrets, and a cookie."""



SECRET = b"0123456789abcdef known to few"
OTHERS = [bytes([i]) * 24 for i in range(1, 7)]
NOON = 1_700_000_000.0
LIFE = 3600.0
NAMES = ["basket-1", "basket-2", "checkout", "z-server-in-the-cellar", "web"]
UP = dict.fromkeys(NAMES, "up")


def sticky(StickyCookie, secret=SECRET):
    return StickyCookie(secret, life=LIFE)


def shown(token, longest=50):
    text = repr(token)
    return text if len(text) <= longest else f"{text[:longest]}... ({len(token)} characters)"


def quietly(read, *arguments):
    """What `read` returns; None if it raises, as that is what one check of its own is about."""
    try:
        return read(*arguments)
    except Exception:
        return None
