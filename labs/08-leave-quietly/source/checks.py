"""Checks of the lab "Leave quietly"."""

import random
from math import nan

from lbkit.course import Task, Wrong, expect

task = Task(
    title="Leave quietly",
    module="leave_quietly",
    defines=("Drain",),
    beside=("Connections",),
    minutes=60,
    difficulty=2,
    before="notebook 06, up to the drain that never ends",
)

BEGIN, TIMEOUT = 1.0, 30.0  # seconds


def server(Drain, idle=(), busy=()):
    """A drain that has not begun, with these connections."""
    drain = Drain(TIMEOUT)
    for connection in (*idle, *busy):
        drain.opened(connection)
    for connection in busy:
        drain.begun(connection)
    return drain


def closing(drain, seconds):
    """The connections to close so many seconds after the order to leave, each once, in order."""
    return sorted(set(drain.to_close(BEGIN + seconds)))


def names(connections):
    return ", ".join(connections) or "none"


def expect_closing(drain, seconds, due, when, hint):
    got = closing(drain, seconds)
    expect(got == due, f"to_close: {names(due)}, {when}", names(got), hint)


@task.check(points=1)
def nothing_new_begins(Drain):
    """New requests are accepted until the order to leave, and none after it."""
    drain = server(Drain, idle=["a"])
    expect(drain.accepts(), "that a request is accepted before the drain", "accepts() said no", "the drain has not begun")
    drain.start(BEGIN)
    expect(
        not drain.accepts(),
        "that no request is accepted after start",
        "accepts() said yes",
        "with new requests all the time, when would the last one be done?",
    )


@task.check(points=2)
def running_requests_finish(Drain):
    """A connection with a running request is left alone until the limit."""
    drain = server(Drain, busy=["upload"])
    drain.start(1000.0)
    for now in (1000.0, 1029.9):
        expect(
            not list(drain.to_close(now)),
            f"to_close({now:g}): none, with a running request on the only connection, after start(1000), "
            "and with a timeout of 30 s",
            "it is closed",
            "closing it cuts off its request, which still has time: from when on do you count the 30 seconds?",
        )


@task.check(points=2)
def idle_connections_are_closed(Drain):
    """While it drains, connections on which nothing runs have to be closed."""
    drain = server(Drain, idle=["kept-alive"], busy=["upload"])
    drain.start(BEGIN)
    hint = "a client may keep an idle connection open for hours; list it until you are told that it is closed"
    steps = [(["kept-alive"], "with kept-alive idle and upload busy")]
    steps += [(["kept-alive"], "when it is asked again, and kept-alive has not been closed yet")]
    steps += [(["upload"], "when kept-alive is closed, and the request on upload has ended")]
    steps += [(["late", "upload"], "when upload is still open, and late has connected at the last moment")]
    for seconds, (due, when) in enumerate(steps):
        if seconds == 2:
            drain.closed("kept-alive")
            drain.ended("upload")
        if seconds == 3:
            drain.opened("late")
        got = closing(drain, seconds)
        expect(set(due) <= set(got), f"to_close: {names(due)}, {when}", names(got), hint)


@task.check(points=2)
def it_stops_when_the_last_has_gone(Drain):
    """Before the limit it may stop when no connection is left, and not before."""
    drain = server(Drain, busy=["a", "b"])
    drain.start(BEGIN)
    for seconds, (gone, left) in enumerate([("a", "b"), ("b", "")]):
        running = f"{gone} and {left}" if left else gone
        expect(
            not drain.may_stop(BEGIN + seconds),
            f"that it does not stop {seconds} s after start, with a request running on {running}",
            "may_stop said yes",
            "what would become of that request?",
        )
        drain.ended(gone)
        expect(
            not drain.may_stop(BEGIN + seconds + 0.5),
            f"that it does not stop while {running} is open: its answer may be on its way",
            "may_stop said yes",
            "an answer has arrived for certain only when its connection is closed",
        )
        drain.closed(gone)
    expect(
        drain.may_stop(BEGIN + 2),
        "that it may stop 2 s after start, with no connection left",
        "may_stop said no",
        "what is it still waiting for?",
    )


@task.check(points=2)
def the_limit_is_kept(Drain):
    """At the limit all that is left has to be closed, WebSockets, too, and the server may stop."""
    drain = server(Drain, busy=["websocket", "upload"])
    drain.start(BEGIN)
    hint = "a WebSocket may never end by itself; `timeout` seconds after start, patience ends"
    for seconds in (30.0, 100.0):
        when = f"{seconds:g} s after start, with a timeout of 30 s"
        expect_closing(drain, seconds, ["upload", "websocket"], when, hint)
        expect(drain.may_stop(BEGIN + seconds), f"that it may stop {when}", "may_stop said no", hint)
    drain = server(Drain, busy=["websocket"])
    drain.start(0.0)
    expect(
        drain.may_stop(30.0),
        "that it may stop at the time 30, after start(0)",
        "may_stop said no",
        "0 is a time like any other, though it counts as false in an `if`",
    )


@task.check(points=1)
def answers_say_close(Drain):
    """Answers that are sent while it drains say `Connection: close`, and no others."""
    drain = server(Drain, busy=["a"])
    expect(not drain.says_close(), "no `Connection: close` before the drain", "says_close said yes")
    drain.start(BEGIN)
    expect(
        drain.says_close(),
        "`Connection: close` in the answer to a request that began before the drain and ends during it",
        "says_close said no",
        "otherwise its client sends the next request on this connection, just when you close it",
    )


@task.check(points=1)
def a_second_order_changes_nothing(Drain):
    """An order to leave that is given again does not move the limit."""
    once, twice = (server(Drain, busy=["websocket"]) for _ in range(2))
    once.start(BEGIN)
    twice.start(BEGIN)
    twice.start(BEGIN + 20)
    hint = "impatient people send SIGTERM twice: does that give the server more time?"
    when = "30 s after the first start, as if there had been no second one after 20 s"
    expect_closing(twice, 30.0, closing(once, 30.0), when, hint)
    stops, due = (bool(drain.may_stop(BEGIN + 30)) for drain in (twice, once))
    expect(stops == due, f"may_stop: {due}, {when}", f"{stops}", hint)


@task.check(points=1)
def requests_share_a_connection(Drain):
    """A connection with two requests, as HTTP/2 has them, is not idle when one of them has ended."""
    drain = server(Drain, busy=["http2"])
    drain.begun("http2")
    drain.start(BEGIN)
    before = closing(drain, 1.0)
    drain.ended("http2")
    expect_closing(
        drain,
        1.0,
        before,
        "as before, when one of the two requests on http2 has ended and the other is running",
        "busy or idle is not enough to remember: how many requests are still running there?",
    )


@task.check(points=2)
def clients_that_vanish_are_not_waited_for(Drain):
    """A client that closes in the middle of its request is gone; that its request ends later does no harm."""
    gone = "which of your notes are about a connection that is closed?"
    drain = server(Drain, busy=["phone"])
    drain.closed("phone")
    drain.ended("phone")
    drain.start(BEGIN)
    expect_closing(drain, 1.0, [], "when phone was closed before start, and its request ended after that", gone)
    drain = server(Drain, busy=["phone"])
    drain.start(BEGIN)
    drain.closed("phone")
    expect(
        drain.may_stop(BEGIN + 1),
        "that it may stop when the only client has closed its connection, in the middle of a request",
        "may_stop said no",
        f"no client is left to be answered: {gone}",
    )


@task.check(points=1)
def it_does_not_leave_unasked(Drain):
    """Without an order to leave it closes nothing and does not stop."""
    drain = server(Drain, idle=["kept-alive"])
    hint = "no clients, or no requests for an hour, are no order to leave"
    expect_closing(drain, 3600.0, [], "without start", hint)
    drain.closed("kept-alive")
    expect(not drain.may_stop(BEGIN + 3600), "that it does not stop without start", "may_stop said yes", hint)


@task.check(points=1)
def impossible_timeouts_are_errors(Drain):
    """A timeout that is zero, negative, or no number is a ValueError."""
    for timeout in (0, -1, nan):
        try:
            Drain(timeout)
        except ValueError:
            continue
        hint = "nan is neither below nor above anything" if timeout != timeout else "there would be no time to finish"
        raise Wrong(f"a ValueError from Drain({timeout})", "it was accepted", hint)
    try:
        Drain(0.5)
    except ValueError as error:
        raise Wrong("that half a second is accepted", f"ValueError: {error}", "seconds need not be whole") from None


@task.check(points=3, hidden=True)
def any_history(Drain):
    """Whatever happens, in any order, the answers are those of the contract."""
    for seed in range(60):
        rng = random.Random(seed)
        drain, running, vanished, made = Drain(TIMEOUT), {}, [], 0
        start = BEGIN + rng.uniform(5, 40)
        now, draining = BEGIN, False
        for step in range(150):
            now += rng.expovariate(2)
            if now >= start and not draining:
                drain.start(now)
                start, draining = now, True
            event = rng.choice(("open", "open", "begin", "begin", "end", "end", "close", "late"))
            some = rng.choice(sorted(running)) if running else None
            if event == "open" and (not draining or step % 5 == 0):
                made += 1
                running[made] = 0
                drain.opened(made)
            elif event == "begin" and some and not draining:
                running[some] += 1
                drain.begun(some)
            elif event == "end" and some and running[some]:
                running[some] -= 1
                drain.ended(some)
            elif event == "close" and some:
                vanished += [some] * running.pop(some)
                drain.closed(some)
            elif event == "late" and vanished:
                drain.ended(vanished.pop())
            over = draining and now >= start + TIMEOUT
            due = sorted(c for c, n in running.items() if draining and (over or not n))
            expect(sorted(drain.to_close(now)) == due, f"to_close: {due}", f"{sorted(drain.to_close(now))}")
            stop = draining and (over or not running)
            expect(bool(drain.may_stop(now)) == stop, f"may_stop: {stop}", f"{not stop}")
            expect(bool(drain.accepts()) != draining == bool(drain.says_close()), f"draining: {draining}", "other answers")
