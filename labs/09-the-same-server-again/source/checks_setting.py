"""Checks of when a client gets another token."""

import random

from lbkit.course import Steps, expect

from . import task
from .tokens import LIFE, NOON, UP, shown, sticky


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
