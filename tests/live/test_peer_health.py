"""Health rules on real programs: what is rendered, refused and read back, and that they decide as we do."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import pytest
from needs import need, need_feature

need_feature("live")

from scripted import TIMEOUT, Connection, Scripted, ask, field

from lbkit import Backend, Constant, Event, Experiment, Poisson, Policy, Result, Traffic, run, servers
from lbkit.core.health import (
    BreakerRules,
    CheckRules,
    Health,
    HealthRules,
    MaxFailsRules,
    OutlierRules,
    Probe,
)
from lbkit.live import PEERS, PeerError, notes, render
from lbkit.net import Proxy

PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}
CHECKS = CheckRules(interval=0.4, timeout=0.4, rise=2, fall=3)
ONE_EACH = CheckRules(interval=0.8, timeout=0.8, rise=1, fall=1)
ERRORS_IN_ROW = OutlierRules(consecutive=3, stdev_factor=0, max_ejected=1.0)


def with_health(count: int = 2, **rules: object) -> Experiment:
    policy = Policy("round_robin", health=HealthRules(**rules))  # type: ignore[arg-type]
    return Experiment(servers(count), policy=policy)


# -- rendering ----------------------------------------------------------------------------------


def test_haproxy_has_checks_failures_in_a_row_and_a_limit() -> None:
    probe = Probe(
        path="/ready", method="HEAD", host="shop", expect="200-299, 304", headers={"X-A": "50% 'x'"}
    )
    checks = CheckRules(
        interval=2, timeout=0.5, fast_interval=1, down_interval=4, rise=3, fall=4, jitter=0.2, probe=probe
    )
    text = render(with_health(checks=checks, outliers=ERRORS_IN_ROW, max_in_flight=7), "haproxy")
    for line in (
        "  spread-checks 20\n",
        "  timeout check 500ms\n",
        "  option httpchk\n",
        "  http-check send meth HEAD uri '/ready' ver HTTP/1.1 hdr Host 'shop' hdr X-A '50%% '\\''x'\\'''\n",
        "  http-check expect status 200-299,304\n",
        "  default-server check inter 2000ms fastinter 1000ms downinter 4000ms rise 3 fall 4"
        " observe layer7 error-limit 3 on-error mark-down\n",
        "  server s1 127.0.0.1:9001 weight 1 maxconn 7\n",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (Probe("tcp", port=81), "rise 2 fall 3 port 81\n"),
        (Probe("tls"), "rise 2 fall 3 check-ssl verify none\n"),
    ],
)
def test_haproxy_checks_connections_and_handshakes(probe: Probe, words: str) -> None:
    text = render(with_health(checks=CheckRules(probe=probe)), "haproxy")
    assert words in text
    assert "httpchk" not in text


def test_nginx_has_passive_checks_and_a_limit() -> None:
    rules = {"max_fails": MaxFailsRules(2, 30.0), "max_in_flight": 9}
    assert "9001 weight=1 max_fails=2 fail_timeout=30s max_conns=9;  # s1" in render(
        with_health(**rules), "nginx"
    )
    assert "9001 weight=1 max_fails=0;  # s1" in render(with_health(), "nginx")


def test_caddy_has_checks_passive_ones_and_a_limit() -> None:
    checks = CheckRules(
        interval=2, timeout=0.5, rise=1, fall=1, probe=Probe(headers={"X-A": 'a "b"'}, body="fi.ne", port=81)
    )
    text = render(with_health(checks=checks, max_fails=MaxFailsRules(3, 1.5), max_in_flight=4), "caddy")
    for line in (
        *('health_uri "/health"', "health_interval 2000ms", "health_timeout 500ms", "health_port 81"),
        *("health_body `fi\\.ne`", '  X-A `a "b"`', "unhealthy_request_count 4"),
        *("fail_duration 1500ms", "max_fails 3", "unhealthy_status 5xx"),
    ):
        assert f"    {line}\n" in text


def test_apache_has_checks_and_a_rest_after_a_failure() -> None:
    need("apache2")
    checks = CheckRules(
        interval=2, rise=4, fall=5, probe=Probe(path="/ready", expect="200-299,304", body="a/b")
    )
    text = render(with_health(checks=checks, max_fails=MaxFailsRules(1, 30.0)), "apache")
    assert "mod_proxy_hcheck.so" in text
    assert (
        "retry=30 connectiontimeout=5000ms hcinterval=2000ms hcpasses=4 hcfails=5 hcmethod=GET hcuri=/ready"
        in text
    )
    assert "failonstatus=500,501,502,503,504" in text
    assert (
        "ProxyHCExpr passes {((%{REQUEST_STATUS} -ge 200 && %{REQUEST_STATUS} -le 299)"
        " || (%{REQUEST_STATUS} -ge 304 && %{REQUEST_STATUS} -le 304)) && hc('body') =~ /a\\/b/}"
    ) in text
    plain = render(with_health(), "apache")
    assert "hcheck" not in plain
    assert "retry=0 " in plain


ODD = Probe(
    path="/a'b#c",
    host="shop.example:81",
    expect="200-299",
    headers={"X-A": "50% 'x' \\"},
    body='it\'s "fine" {x}',
)


@pytest.mark.live
@pytest.mark.parametrize("layer", [7, 4])
@pytest.mark.parametrize("probe", [ODD, Probe("tcp", port=81), Probe("tls")], ids=["http", "tcp", "tls"])
def test_haproxy_accepts_checks_with_any_text_in_them(probe: Probe, layer: int) -> None:
    need("haproxy")
    checks = CheckRules(timeout=0.5, fast_interval=1, down_interval=3, jitter=0.3, probe=probe)
    accepted("haproxy", with_health(checks=checks, outliers=ERRORS_IN_ROW, max_in_flight=2), layer)


@pytest.mark.live
def test_caddy_and_apache_accept_checks_with_any_text_in_them() -> None:
    need("caddy")
    need("apache2")
    checks = CheckRules(rise=1, fall=1, probe=ODD)
    accepted("caddy", with_health(checks=checks, max_fails=MaxFailsRules(2, 1.5), max_in_flight=2))
    plain = CheckRules(probe=replace(ODD, host="", headers={}))
    accepted("apache", with_health(checks=plain, max_fails=MaxFailsRules()))


def accepted(program: str, experiment: Experiment, layer: int = 7) -> None:
    """Start a program before servers that are off; it raises PeerError for what it does not understand."""
    peer = PEERS[program](experiment, layer)
    try:
        peer.start(Backend(f"s{i}", host="127.0.0.1", port=i) for i in (1, 2))
    finally:
        peer.stop()


@pytest.mark.parametrize(
    ("program", "rules", "message"),
    [
        (
            "nginx",
            {"checks": CHECKS},
            "nginx has no policy.health.checks here: active checks are in nginx Plus only; it has max_fails,"
            " max_in_flight; or use lbkit's proxy",
        ),
        ("nginx", {"max_fails": MaxFailsRules(1, 1.5)}, "nginx's fail_timeout is in whole seconds, not 1.5"),
        ("haproxy", {"max_fails": MaxFailsRules()}, "haproxy has no policy.health.max_fails here: it counts"),
        ("haproxy", {"outliers": ERRORS_IN_ROW}, "haproxy observes requests beside checks only: add"),
        (
            "haproxy",
            {"checks": CHECKS, "outliers": OutlierRules()},
            "haproxy cannot do policy.health.outliers.stdev_factor = 1.9 here: use 0, or lbkit's proxy",
        ),
        ("haproxy", {"checks": CheckRules(start="down")}, "haproxy cannot do policy.health.checks.start"),
        ("haproxy", {"checks": CheckRules(timeout=0.1, jitter=0.6)}, "haproxy spreads checks by at most 50%"),
        (
            "caddy",
            {"checks": CHECKS},
            "caddy cannot do policy.health.checks.rise = 2 here: use 1, or lbkit's",
        ),
        (
            "caddy",
            {"checks": CheckRules(rise=1, fall=1, probe=Probe("tcp"))},
            "caddy cannot do policy.health.checks.probe.kind = 'tcp' here: use 'http', or lbkit's proxy",
        ),
        ("apache", {"max_in_flight": 4}, "apache has no policy.health.max_in_flight here: its `max` limits"),
        ("apache", {"max_fails": MaxFailsRules(2)}, "apache cannot do policy.health.max_fails.max_fails = 2"),
        *(
            (program, {"breaker": BreakerRules()}, f"{program} has no policy.health.breaker here: ")
            for program in PROGRAMS
        ),
    ],
)
def test_what_a_program_lacks_is_refused_in_one_line(program: str, rules: dict, message: str) -> None:
    with pytest.raises(PeerError) as error:
        render(with_health(**rules), program)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("program", "rules", "note"),
    [
        ("haproxy", {"checks": CHECKS}, "one that fails takes it out (start 'up')"),
        ("haproxy", {"checks": CHECKS}, "counted from its end"),
        ("haproxy", {"checks": CHECKS, "outliers": ERRORS_IN_ROW}, "comes back after `rise` checks"),
        ("nginx", {}, "no active health checks"),
        ("nginx", {"max_fails": MaxFailsRules()}, "not an answer of status 5xx"),
        ("nginx", {"max_in_flight": 3}, "502, not 503"),
        ("caddy", {"max_fails": MaxFailsRules()}, "Result.changes lacks it"),
        ("apache", {"checks": CHECKS}, "a check waits as long as a request does"),
    ],
)
def test_what_a_program_does_in_another_way_is_noted(program: str, rules: dict, note: str) -> None:
    assert note in " ".join(notes(with_health(**rules), program))


# -- state changes, from the programs' own words -------------------------------------------------

HAPROXY_LINES = """\
[WARNING]  (7) : Health check for server servers/s2 failed, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms, status: 1/2 UP.
[WARNING]  (7) : Health check for server servers/s2 failed, reason: Layer7 timeout, check duration: 201ms, status: 0/2 DOWN.
[WARNING]  (7) : Server servers/s2 is DOWN. 1 active and 0 backup servers left. 0 sessions active, 0 requeued.
[WARNING]  (7) : Health check for server servers/s2 succeeded, reason: Layer7 check passed, code: 200, check duration: 1ms, status: 1/2 DOWN.
[WARNING]  (7) : Health check for server servers/s2 succeeded, reason: Layer7 check passed, code: 200, check duration: 1ms, status: 2/2 UP.
[WARNING]  (7) : Health check for server servers/s1 failed, reason: Health analyze, info: "Detected 3 consecutive errors, last one was: Wrong http response", status: 0/2 DOWN.
"""  # noqa: E501
NGINX_LINE = (
    "2026/11/26 06:52:23 [warn] 7#7: *8 upstream server temporarily disabled while connecting to upstream,"
    ' client: 127.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:9002/", host: "a"'
)
CADDY_LINES = """\
{"level":"info","ts":1.0,"logger":"http.handlers.reverse_proxy.health_checker.active","msg":"HTTP request failed","host":"127.0.0.1:9002","error":"Get \\"http://127.0.0.1:9002/health\\": dial tcp 127.0.0.1:9002: connect: connection refused"}
{"level":"info","ts":2.0,"logger":"http.handlers.reverse_proxy.health_checker.active","msg":"HTTP request failed","host":"127.0.0.1:9002","error":"Get \\"http://127.0.0.1:9002/health\\": context deadline exceeded"}
{"level":"info","ts":3.0,"logger":"http.handlers.reverse_proxy.health_checker.active","msg":"host is up","host":"127.0.0.1:9002"}
{"level":"info","ts":3.0,"logger":"http.handlers.reverse_proxy.health_checker.active","ms
"""  # noqa: E501
APACHE_LINES = """\
[proxy:error] [pid 7:tid 7] (111)Connection refused: AH00957: HCOH: attempt to connect to 127.0.0.1:9002
[proxy_hcheck:info] [pid 7:tid 7] AH03303: Threaded Health check DISABLING http://127.0.0.1:9002
[proxy_hcheck:info] [pid 7:tid 7] AH03302: Threaded Health check ENABLING http://127.0.0.1:9002
[proxy:error] [pid 7:tid 7] AH00959: ap_proxy_connect_backend disabling worker for (127.0.0.1:9001) for 30s
"""


def changes(program: str, lines: str, **rules: object) -> list[tuple[str, ...]]:
    peer = PEERS[program](with_health(**rules))
    peer.place(Backend(f"s{i}", host="127.0.0.1", port=9000 + i) for i in (1, 2))
    for line in lines.splitlines():
        peer.read_line(line, time.monotonic() - 20)
    return [change[1:] for change in peer.changes()]


def test_haproxys_log_has_every_state_that_checks_have() -> None:
    assert changes("haproxy", HAPROXY_LINES, checks=CHECKS) == [
        ("s2", "check", "up", "failing", 'Layer4 connection problem, info: "Connection refused"'),
        ("s2", "check", "failing", "down", "Layer7 timeout"),
        ("s2", "check", "down", "recovering", "Layer7 check passed, code: 200"),
        ("s2", "check", "recovering", "up", "Layer7 check passed, code: 200"),
        (
            *("s1", "check", "up", "down"),
            'Health analyze, info: "Detected 3 consecutive errors, last one was: Wrong http response"',
        ),
    ]


def test_nginx_logs_that_a_server_is_out_and_its_return_is_reckoned() -> None:
    out = ("s2", "max_fails", "in", "out", "2 failed attempts")
    assert changes("nginx", NGINX_LINE, max_fails=MaxFailsRules(2, 5.0)) == [
        out,
        ("s2", "max_fails", "out", "in", "time is over"),
    ]
    assert changes("nginx", NGINX_LINE, max_fails=MaxFailsRules(2, 60.0)) == [out]  # it is still out


def test_caddy_logs_each_failed_check_and_the_return() -> None:
    assert changes("caddy", CADDY_LINES, checks=ONE_EACH) == [
        ("s2", "check", "up", "down", "connection refused"),
        ("s2", "check", "down", "up", ""),
    ]


def test_apache_logs_downs_and_ups_and_failed_servers() -> None:
    rules = {"checks": CHECKS, "max_fails": MaxFailsRules(1, 30.0)}
    assert changes("apache", APACHE_LINES, **rules) == [
        ("s2", "check", "up", "down", ""),
        ("s2", "check", "down", "up", ""),
        ("s1", "max_fails", "in", "out", "a failed attempt"),
    ]


# -- the same decisions ---------------------------------------------------------------------------


@dataclass
class Door:
    port: int
    host: str = "127.0.0.1"


class Steered:
    """A backend of which a test says whether the next request fails, and which counts requests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200  # of its answers; 0: it closes the connection without one
        self.requests = 0
        self.scripted = Scripted(self._serve)
        self.port = self.scripted.port

    def _serve(self, connection: Connection) -> None:
        while head := connection.head():
            if b" /health " in head:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            self.requests += 1
            if not self.status:
                connection.reset()
                return
            answer = f"HTTP/1.1 {self.status} Said\r\nX-Name: {self.name}\r\nContent-Length: 0\r\n\r\n"
            connection.send(answer.encode())


@contextmanager
def on(program: str, policy: Policy) -> Iterator[tuple[Door, Steered]]:
    """A program, or our proxy, before two steered backends; the first of them is given to the test."""
    backends = [Steered(name) for name in ("s1", "s2")]
    members = [Backend(b.name, host="127.0.0.1", port=b.port) for b in backends]
    try:
        if program == "live":
            with Proxy(policy.pool(members, random.Random), policy=policy) as proxy:
                yield Door(proxy.port), backends[0]
        else:
            peer = PEERS[program](Experiment(servers(2), policy=policy))
            try:
                peer.start(members)
                yield Door(peer.port), backends[0]
            finally:
                peer.stop()
    finally:
        for backend in backends:
            backend.scripted.close()


def play(program: str, policy: Policy, steps: str, pause: float, status: int) -> str:
    """Return what became of each step: "-" where the first backend got no request.

    F: its next request fails, as `status` says. P: it passes. w: nothing happens for `pause` seconds."""
    told = ""
    with on(program, policy) as (door, first):
        for step in steps:
            if step == "w":
                time.sleep(pause)
                told += step
                continue
            first.status = status if step == "F" else 200
            before = first.requests
            for _ in range(2):  # it has every other turn
                if first.requests == before:
                    ask(door)
            told += step if first.requests > before else "-"
    return told


@pytest.mark.live
def test_max_fails_counts_as_nginx_does() -> None:
    need("nginx")
    policy = Policy("round_robin", retries=1, health=HealthRules(max_fails=MaxFailsRules(2, 2.0)))
    cases = {
        "PFPFPP": "PFPF--",  # a success soon after a failure forgives nothing
        "FwFP": "FwF-",  # nor does time
        "FwPFP": "FwPFP",  # a success long after it does
        "FFwPFP": "FFwPFP",
        "FFwFP": "FFwF-",  # after the rest, one failure is enough
    }
    with ThreadPoolExecutor(10) as threads:
        played = {
            (program, steps): threads.submit(play, program, policy, steps, 3.2, 0)
            for program in ("live", "nginx")
            for steps in cases
        }
    assert {key: found.result() for key, found in played.items()} == {key: cases[key[1]] for key in played}


def served(program: str, policy: Policy, statuses: list[int]) -> list[str]:
    """Return which backend answered each request, while the first one answers with these statuses."""
    names = []
    with on(program, policy) as (door, first):
        for status in statuses:
            first.status = status
            names += field(ask(door)[1], "X-Name")
    return names


@pytest.mark.live
def test_haproxy_marks_a_server_down_after_as_many_failures_in_a_row_as_we_eject_at() -> None:
    need("haproxy")
    checks = CheckRules(interval=60, timeout=1)  # none while this runs
    policy = Policy("round_robin", health=HealthRules(checks=checks, outliers=ERRORS_IN_ROW))
    # The first backend has each second request: two failures, a success, three failures.
    statuses = [500, 200, 500, 200, 200, 200, 500, 200, 500, 200, 500, 200, 500, 200, 500, 200]
    found = {program: served(program, policy, statuses) for program in ("live", "haproxy")}
    assert found["live"] == found["haproxy"] == ["s1", "s2"] * 6 + ["s2"] * 4


class Checked:
    """A backend that gives its checks the outcomes of a list, and passes ever after."""

    def __init__(self, outcomes: list[bool]) -> None:
        self.outcomes = outcomes
        self.seen = 0
        self.scripted = Scripted(self._serve)

    def _serve(self, connection: Connection) -> None:
        while connection.head():
            passes = self.seen >= len(self.outcomes) or self.outcomes[self.seen]
            self.seen += 1
            status = "200 OK" if passes else "503 No"
            connection.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.live
@pytest.mark.parametrize(("rise", "fall"), [(2, 3), (1, 1), (3, 2)])
def test_haproxys_checks_go_through_the_states_that_ours_have(rise: int, fall: int) -> None:
    """Fourteen servers with outcomes at random, so that rows of all lengths are among them."""
    need("haproxy")
    rules = CheckRules(interval=0.4, timeout=0.4, rise=rise, fall=fall, start="up")
    rng = random.Random(rise)
    backends = [Checked([rng.random() < 0.5 for _ in range(10)]) for _ in range(14)]
    peer = PEERS["haproxy"](with_health(14, checks=rules))
    expected = {}
    for name, backend in zip(peer.experiment.servers, backends, strict=True):
        health, expected[name.name] = Health(rules), []
        for passed in (*backend.outcomes, *[True] * rise):
            before = health.state
            if after := health.observe(passed):
                expected[name.name].append((before.label, after.label))
    try:
        peer.start(
            Backend(s.name, host="127.0.0.1", port=b.scripted.port)
            for s, b in zip(peer.experiment.servers, backends, strict=True)
        )
        end = time.monotonic() + TIMEOUT
        while min(b.seen for b in backends) <= 10 + rise and time.monotonic() < end:
            time.sleep(0.05)
        told = peer.changes()
    finally:
        peer.stop()
        for backend in backends:
            backend.scripted.close()
    assert {n: [(c.before, c.after) for c in told if c.backend == n] for n in expected} == expected


# -- the same experiments ----------------------------------------------------------------------------


def faults(health: HealthRules) -> Experiment:
    """One server is killed, another one hangs; both recover."""
    events = [
        Event(1, "crash", "s2"),
        Event(3, "hang", "s3"),
        Event(3, "recover", "s2"),
        Event(6, "recover", "s3"),
    ]
    policy = Policy("round_robin", health=health)
    return Experiment(servers(3), policy=policy, events=events).at_load(0.15).but(duration=8.5)


def states(result: Result, server: str) -> list[str]:
    return [change.after for change in result.changes if change.backend == server]


def detection(result: Result, server: str, event: float) -> float:
    """Return the seconds from an event until the server was out of service."""
    return next(c.at for c in result.changes if c.backend == server and c.after == "down") - event


@pytest.mark.live
@pytest.mark.parametrize(
    ("program", "rules"), [("haproxy", CHECKS), ("caddy", ONE_EACH)], ids=["haproxy", "caddy"]
)
def test_checks_find_a_killed_server_and_one_that_hangs_as_ours_do(program: str, rules: CheckRules) -> None:
    need(PROGRAMS[program])
    experiment = faults(HealthRules(checks=rules))
    fewer = rules.fall == 1
    whole = ["down", "up"] if fewer else ["failing", "down", "recovering", "up"]
    for engine in ("sim", "live", program):
        result = run(experiment, on=engine)
        assert not result.faults
        for server, event in (("s2", 1), ("s3", 3)):
            assert states(result, server) == whole, engine
            # A second is for a busy machine, and HAProxy waits for a timeout more between checks.
            longest = rules.longest_detection(hangs=True) + (rules.fall - 1) * rules.timeout
            assert 0 < detection(result, server, event) < longest + 1
        assert states(result, "s1") == []
        out = [c.at for c in result.changes if c.backend == "s2" and c.after in ("down", "up")]
        rows = zip(result.arrival, result.backend, strict=True)
        assert not [a for a, b in rows if b == result.backends.index("s2") and out[0] < a < out[1]]
        if program == "haproxy":  # it tries elsewhere what it lost; Caddy may meet the dead one again
            assert result.error_rate == 0


@pytest.mark.live
def test_apaches_checks_find_a_killed_server() -> None:
    need("apache2")
    events = [Event(1, "crash", "s2"), Event(3, "recover", "s2")]
    experiment = faults(HealthRules(checks=CHECKS)).but(events=events, duration=6)
    result = run(experiment, on="apache")
    assert states(result, "s2") == ["down", "up"]
    assert not states(result, "s1")
    assert not result.faults


FULL = Experiment(
    servers(2, service=Constant(0.1), workers=50),
    Traffic(Poisson(120), duration=1.5),
    policy=Policy("round_robin", health=HealthRules(max_in_flight=2)),
)


@cache
def served_with_two_at_once(engine: str) -> float:
    """Return the share of FULL's requests that are served; each server has two at once, at most."""
    result = run(FULL, on=engine)
    # Caddy asks whether there is a place, then takes it, in threads: one request on each of two processors
    # can get the last one (its note says so).
    most = 3 if engine == "caddy" else 2
    for server in range(2):
        rows = zip(result.backend, result.start, result.service, strict=True)
        spans = [(start, start + work) for b, start, work in rows if b == server and work > 0]
        assert max(sum(a <= start < b for a, b in spans) for start, _ in spans) <= most, engine
    refused = {status for status in result.status if status != 200}
    assert refused == {502 if engine == "nginx" else 503}
    return sum(status == 200 for status in result.status) / len(result.arrival)


@pytest.mark.live
@pytest.mark.parametrize("program", ["haproxy", "nginx", "caddy"])
def test_a_server_never_has_more_requests_than_max_in_flight(program: str) -> None:
    """Three times as many clients as places: a third is served, and the others are refused at once."""
    need(PROGRAMS[program])
    assert served_with_two_at_once(program) == pytest.approx(served_with_two_at_once("live"), abs=0.15)
