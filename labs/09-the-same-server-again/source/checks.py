"""Checks of the lab "The same server again"."""

import base64
import hashlib
import random
import sys
from string import digits

from lbkit.course import Steps, Task, elsewhere, expect

task = Task(
    title="The same server again",
    module="the_same_server_again",
    defines=("StickyCookie",),
    minutes=60,
    difficulty=2,
    before="notebook 04, up to the cookie of the balancer",
)

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


@task.check(points=2)
def a_visitor_comes_back_to_the_same_server(StickyCookie):
    """A token means the server that it was made for, whichever servers join, leave or recover."""
    cookie = sticky(StickyCookie)
    for server in NAMES:
        token = cookie.make(server, NOON)
        expect(isinstance(token, str) and token != "", "a text from `make`", shown(token))
        rest = {name: "down" for name in NAMES if name != server}
        for servers, what in (
            (UP, "all servers as they were"),
            (dict(reversed(UP.items())), "the servers in another order"),
            ({"new": "up"} | UP, "a new server, which comes first"),
            ({server: "up"} | rest, "all the others down"),
        ):
            got = cookie.read(token, servers, NOON + 60)
            expect(
                got == server,
                f"{server!r}, a minute after its token was made; {what}",
                repr(got),
                "the token has to identify one server among those in `servers`, wherever it stands there",
            )


@task.check(points=2)
def a_dead_or_draining_server_is_left(StickyCookie):
    """A token of a server that is down, draining, or gone counts as none; once it is up, it counts."""
    cookie = sticky(StickyCookie)
    token = cookie.make("web", NOON)
    got = [cookie.read(token, UP | {"web": state}, NOON + 1) for state in ("down", "draining", "up")]
    gone = {name: state for name, state in UP.items() if name != "web"}
    got.append(cookie.read(token, gone, NOON + 1))
    due = [None, None, "web", None]
    expect(
        got == due,
        f"{due} for the token of 'web' when it is down, then draining, then up, and then no longer there",
        f"{got}",
        "a visitor who insists on a server that cannot answer gets an error page; look at its state",
        Steps([str(each) for each in due], [str(each) for each in got]),
    )


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


LONG = ["checkout", "z-server-in-the-cellar", "basket-77777"]


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
        "names of servers are easily guessed (web1, web2, ...): who can compute the value from a name tries "
        "them all; the secret must be part of every calculation with the name",
    )


def read_there(StickyCookie, token):
    """For a second process: the server of a token."""
    return sticky(StickyCookie).read(token, UP, NOON + 60)


@task.check(points=2, seconds=10.0)
def another_balancer_reads_it(StickyCookie):
    """A second balancer with the same secret, or the same one after a restart, reads the token."""
    hint = (
        "what the second one needs has to be in the token, the secret and the list of servers: no table, no "
        "secret of its own, and no hash() of Python, which differs from process to process"
    )
    token = sticky(StickyCookie).make("checkout", NOON)
    expected = "'checkout' from a second StickyCookie with the same secret"
    got = sticky(StickyCookie).read(token, UP, NOON + 60)
    expect(got == "checkout", expected, repr(got), hint)
    got = elsewhere(read_there, token)
    expect(got == "checkout", expected + ", in another process", repr(got), hint)


HEX = "abcdef"


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


@task.check(points=1)
def an_old_token_counts_as_none(StickyCookie):
    """A token is good for `life` seconds, and counts as none afterwards."""
    cookie = sticky(StickyCookie)
    token = cookie.make("web", NOON)
    for age, due in ((LIFE - 2, "web"), (LIFE + 2, None), (30 * LIFE, None)):
        got = cookie.read(token, UP, NOON + age)
        expect(
            got == due,
            f"{due!r} for a token that is {age:.0f} s old, with a life of {LIFE:.0f} s",
            repr(got),
            "a browser may keep a cookie for years; the token itself has to say when it was made",
        )


@task.check(points=2)
def rubbish_counts_as_none(StickyCookie):
    """Whatever a client sends in the cookie counts as none; it never raises an exception."""
    cookie = sticky(StickyCookie)
    token = cookie.make("web", NOON)
    rubbish = ["", " ", ".", "..", "...", "=", "====", "a.b", "1.2.3", "-1.x", "web", "0x1", "nan.nan", "1e999.0"]
    rubbish += ["é", "☃.☃", "²", "\0", "\ud800", "%00", "{}", "9" * 6000, "." * 5000, "A" * 65_536, "a" * 63]
    rubbish += [token[:length] for length in range(0, len(token) - 2, 3)]
    rubbish += [token + token, token + ".x", "x." + token]
    for place in range(len(token)):
        rubbish += [token[:place] + char + token[place + 1 :] for char in ("é", "²", "☃", "\ud800")]
    for each in rubbish:
        for call in ("read", "answer"):
            try:
                got = cookie.read(each, UP, NOON) if call == "read" else cookie.answer(each, "web", NOON)
            except Exception as error:
                got = error
            said = f"an exception: {type(got).__name__}: {got}" if isinstance(got, Exception) else repr(got)
            expect(
                got is None if call == "read" else isinstance(got, str) and got != "",
                f"{'None' if call == 'read' else 'a new token'} from `{call}` when the cookie is {shown(each)}",
                said,
                "cookies come from strangers: cut off, mangled, or made to break your code; what does each "
                "call do with a text that is no number, no ASCII, or too short?",
            )


@task.check(points=2)
def no_new_cookie_at_each_request(StickyCookie):
    """In the first half of its life, a token that says the server which answered is not set again."""
    cookie = sticky(StickyCookie)
    token = cookie.answer("", "web", NOON)
    expect(
        bool(token) and cookie.read(token, UP, NOON) == "web",
        "a token of 'web' from `answer` for a visitor without one",
        shown(token),
        "a new visitor needs a cookie",
    )
    for share in (0.0, 0.1, 0.3, 0.45):
        got = cookie.answer(token, "web", NOON + share * LIFE)
        expect(
            not got,
            f"None, no cookie, when {share:.0%} of the life of the client's token has passed",
            shown(got),
            "an answer that sets a cookie is not cached, and is longer: does the client's token say the same?",
        )


@task.check(points=2)
def who_keeps_coming_keeps_the_server(StickyCookie):
    """In the second half of its life a token is replaced, so a busy visitor is never sent away."""
    cookie = sticky(StickyCookie)
    token, found = cookie.make("web", NOON), []
    steps = [NOON + i * LIFE / 8 for i in range(1, 30)]
    for now in steps:
        found.append(str(cookie.read(token, UP, now)))
        token = cookie.answer(token, "web", now) or token
    expect(
        set(found) == {"web"},
        f"'web' at each of {len(steps)} requests, one every {LIFE / 8:.0f} s, with a life of {LIFE:.0f} s",
        f"{found[found.index('None')]} at request {found.index('None') + 1}" if "None" in found else f"{found}",
        "how long will the client's token still be good when `answer` is called?",
        Steps(["web"] * len(steps), found),
    )


@task.check(points=2)
def who_has_moved_gets_a_new_token(StickyCookie):
    """When another server than the token's has answered, the client gets a token of that one."""
    cookie = sticky(StickyCookie)
    old = cookie.make("web", NOON)
    new = cookie.answer(old, "checkout", NOON + 5)
    got = cookie.read(new, UP, NOON + 6) if new else None
    expect(
        got == "checkout",
        "a token of 'checkout' from `answer` for a client with a token of 'web', since 'checkout' has answered",
        f"{shown(new)}" + (f", which means {got!r}" if new else ", so the client keeps the one of 'web'"),
        "the cart is now on the second server: when the first one is back, its visitors stay where they are now",
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


@task.check(points=3, hidden=True)
def a_long_day(StickyCookie):
    """Through a day of joins, deaths and recoveries, it does what a plain table of sessions does."""
    for seed in range(6):
        rng = random.Random(seed)
        cookies = [sticky(StickyCookie) for _ in range(2)]
        servers = {f"node{i}": "up" for i in range(6)}
        clients = {}
        now = NOON
        for _ in range(300):
            now += rng.expovariate(1 / 120)
            servers[rng.choice(list(servers))] = rng.choice(("up", "up", "up", "down", "draining"))
            client = rng.randrange(12)
            cookie = rng.choice(cookies)
            token, home, made = clients.get(client, ("", "", 0.0))
            if abs(now - made - LIFE) < 2 or abs(now - made - LIFE / 2) < 2:
                continue
            due = home if home and servers[home] == "up" and now - made < LIFE else None
            got = cookie.read(token, servers, now)
            expect(got == due, f"{due}", f"{got}")
            server = got or rng.choice(list(servers))
            fresh = server == home and now - made < LIFE / 2
            new = cookie.answer(token, server, now)
            expect(bool(new) is not fresh, f"{'no' if fresh else 'a'} new token", shown(new))
            if new:
                clients[client] = (new, server, now)
