"""Checks of what strangers learn from a token, and what they can do to it."""

import base64
import hashlib
import sys
from string import digits

from lbkit.course import expect

from . import task
from .tokens import LIFE, NAMES, NOON, OTHERS, UP, quietly, shown, sticky

LONG = ["checkout", "z-server-in-the-cellar", "basket-77777"]
HEX = "abcdef"


def disguises(name):
    """A name as anybody could read it in a token: as it is, backwards, in hexadecimal digits, in base 64."""
    data = name.encode()
    encoded = [base64.b64encode(b"\0" * shift + data).decode().rstrip("=") for shift in range(3)]
    # The first and last characters depend on what is beside the name.
    inner = [text[2 if shift else 0 :][1 if shift else 0 : -1] for shift, text in enumerate(encoded)]
    return [name, name[::-1], data.hex(), *inner]


def shows(token, name):
    texts = [token.lower(), token]
    return any(len(each) > 4 and each in text for each in disguises(name) for text in texts)


@task.check(points=2)
def the_value_shows_no_name(StickyCookie):
    """A token shows nothing of a server's name: no part of it, no encoding of it, not its length."""
    cookie = sticky(StickyCookie)
    tokens = {name: cookie.make(name, NOON) for name in LONG}
    for name, token in tokens.items():
        expect(
            not shows(token, name),
            f"a token for {name!r} in which the name cannot be found, not even backwards, in hexadecimal "
            "digits or in base 64",
            shown(token, 100),
            "an encoding hides nothing, as it can be undone without a secret; a keyed hash cannot",
        )
    lengths = {name: len(token) for name, token in tokens.items()}
    expect(
        len(set(lengths.values())) == 1,
        "tokens of the same length for all servers",
        ", ".join(f"{length} characters for {name!r}" for name, length in lengths.items()),
        "a hash is equally long for every name",
    )


def constant(StickyCookie, name):
    """The pieces of six characters that a server's tokens have with each of six secrets."""
    pieces = []
    for secret in OTHERS:
        token = sticky(StickyCookie, secret).make(name, NOON)
        pieces.append({token[i : i + 6] for i in range(len(token) - 5)})
    return set.intersection(*pieces)


@task.check(points=2)
def without_the_secret_nothing_can_be_guessed(StickyCookie):
    """No part of a token is computed from the server's name without the secret."""
    one, other = "checkout", "basket-77777"
    token = sticky(StickyCookie).make(one, NOON)
    if shows(token, one):
        return  # that is the matter of another check
    same = constant(StickyCookie, one) - constant(StickyCookie, other)
    known = [hashlib.new(kind, one.encode()).hexdigest()[:12] for kind in ("md5", "sha1", "sha256")]
    guess = next((each for each in known if each in token), None) or max(same, key=token.find, default="")
    expect(
        not same,
        f"that tokens for {one!r} by balancers with different secrets have nothing in common that those for "
        f"{other!r} do not have, too",
        f"each has {guess!r} in it, as in {shown(token, 90)}",
        "names of servers are easily guessed (web1, web2, ...): anyone who can compute the value from a name can try "
        "them all; the secret must be part of every calculation with the name",
    )


def swapped(char):
    """A digit for a letter from a to f and the reverse, else another letter.

    In base 64 too they differ in more than their last bits, which need not mean anything."""
    if char in digits:
        return HEX[int(char) % 6]
    if char.lower() in HEX:
        return str(HEX.index(char.lower()))
    return "z" if char.isupper() else "A"


@task.check(points=2)
def a_changed_token_counts_as_none(StickyCookie):
    """Change one character of a token anywhere, and it counts as none; its time cannot be put off."""
    cookie = sticky(StickyCookie)
    token = cookie.make("checkout", NOON)
    hint = "the signature has to cover everything in the token that is believed, the time included"
    for place, char in enumerate(token):
        changed = token[:place] + swapped(char) + token[place + 1 :]
        got = quietly(cookie.read, changed, UP, NOON + 60)
        expect(
            got is None,
            f"None for {shown(changed, 100)}, which was {shown(token, 100)} before somebody changed character "
            f"{place}",
            repr(got),
            hint,
        )
        for digit in digits if char in digits else "":
            changed = token[:place] + digit + token[place + 1 :]
            got = quietly(cookie.read, changed, UP, NOON + LIFE + 60)
            expect(
                got is None or changed == token,  # that it expires is the matter of another check
                f"None for {shown(changed, 100)}, a token that expired a minute ago, with another digit as "
                f"character {place}",
                repr(got),
                hint,
            )


@task.check(points=2)
def a_forged_token_counts_as_none(StickyCookie):
    """A token that was made with another secret counts as none."""
    cookie = sticky(StickyCookie)
    for secret in OTHERS[:3]:
        for server in NAMES:
            forged = sticky(StickyCookie, secret).make(server, NOON)
            got = cookie.read(forged, UP, NOON + 60)
            expect(
                got is None,
                f"None for {shown(forged, 100)}, which somebody made for {server!r} with a secret of their own",
                repr(got),
                "everyone may read your code: what in a token can only be computed with the secret?",
            )


def compares(work):
    """Whether hmac.compare_digest is called, under whatever name."""
    seen = []

    def watch(frame, event, argument):
        if event == "c_call" and "compare_digest" in getattr(argument, "__name__", ""):
            seen.append(True)

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return bool(seen)


@task.check(points=1)
def signatures_are_compared_in_constant_time(StickyCookie):
    """Signatures are compared with `hmac.compare_digest`, which takes equally long for all of them."""
    cookie = sticky(StickyCookie)
    token = cookie.make("web", NOON)
    expect(
        compares(lambda: cookie.read(token, UP, NOON)),
        "a call of `hmac.compare_digest` in `read`",
        "none",
        "== stops at the first character that differs, so its time tells how many were right",
    )
