"""Checks of what a token means when it comes back."""

from lbkit.course import Steps, elsewhere, expect

from . import task
from .tokens import LIFE, NAMES, NOON, UP, shown, sticky


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
