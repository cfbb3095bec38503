"""The real programs: what is rendered, and that they do it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need, need_feature

need_feature("live")
import psutil

from lbkit import (
    Constant,
    Event,
    Experiment,
    Policy,
    Server,
    Traffic,
    presets,
    run,
    servers,
    why_not,
)
from lbkit.core.backend import whole_weights
from lbkit.live import PEERS, LiveSession, PeerError, config_lines, notes, render

PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}
every_program = pytest.mark.parametrize("on", PROGRAMS)
SMALL = Experiment(
    servers(3, service=Constant(0.005)), Traffic(duration=2, clients=20, paths=50), seed=2
).at_load(0.15)


def here(on: str) -> str:
    need(PROGRAMS[on])
    return on


def until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


# -- rendering ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "policy", "line"),
    [
        ("nginx", "least_connections", "least_conn;"),
        ("nginx", "power_of_two", "random two least_conn;"),
        ("nginx", "consistent_hash", "hash $uri consistent;"),
        ("haproxy", "least_connections", "balance leastconn"),
        ("haproxy", "consistent_hash", "balance uri\n  hash-type consistent"),
        ("haproxy", "power_of_two", "balance random(2)"),
        ("caddy", "least_connections", "lb_policy least_conn"),
        ("caddy", "consistent_hash", "lb_policy uri_hash"),
    ],
)
def test_an_algorithm_is_called_by_its_name_there(on: str, policy: str, line: str) -> None:
    assert line in render(SMALL.but(policy=policy), on)


def test_weights_and_addresses() -> None:
    two = Experiment([Server("new", weight=1), Server("old", weight=1 / 3)], policy="weighted_round_robin")
    assert "server 127.0.0.1:9001 weight=3 max_fails=0;  # new" in render(two, "nginx")
    assert "server 127.0.0.1:9002 weight=1 max_fails=0;  # old" in render(two, "nginx")
    assert "server old 127.0.0.1:9002 weight 1\n" in render(two, "haproxy")
    assert any("new 3, old 1" in note for note in notes(two, "nginx"))
    # Plain rotation takes no notice of weights, so the program must not see any.
    assert "weight=3" not in render(two.but(policy="round_robin"), "nginx")


def test_nginx_draws_one_or_two() -> None:
    two = SMALL.but(policy=presets.nginx("random_two"))
    assert "random two least_conn;" in render(two, "nginx")
    assert run(two, on=here("nginx")).error_rate == 0
    assert "    random;" in render(SMALL.but(policy=Policy("power_of_choices", {"choices": 1})), "nginx")
    with pytest.raises(PeerError, match="nginx draws one or two different servers"):
        render(SMALL.but(policy="power_of_choices"), "nginx")


def test_caddys_cookie_is_its_own() -> None:
    sticky = SMALL.but(policy=presets.caddy("cookie"))
    assert "lb_policy cookie lb\n" in render(sticky, "caddy")
    assert "sets the cookie itself" in " ".join(notes(sticky, "caddy"))
    assert run(sticky, on=here("caddy")).error_rate == 0


@pytest.mark.parametrize("on", ["nginx", "haproxy"])
def test_a_note_says_how_two_choices_use_weights(on: str) -> None:
    two = Experiment([Server("big", weight=3), Server("small")], policy="power_of_two")
    assert ("weight=3" if on == "nginx" else "weight 30") in render(two, on)
    assert "also draws by weight" in " ".join(notes(two, on))
    assert "draws by weight" not in " ".join(notes(SMALL.but(policy="power_of_two"), on))


def test_unsupported_settings_are_refused_or_noted() -> None:
    with pytest.raises(
        PeerError, match=r"nginx cannot do 'least_response_time': least_time is in nginx Plus"
    ):
        render(SMALL.but(policy="least_response_time"), "nginx")
    with pytest.raises(PeerError, match="caddy cannot do 'weighted_round_robin': it knows no weights"):
        render(SMALL.but(policy="weighted_round_robin"), "caddy")
    with pytest.raises(ValueError, match="unknown program iis; known are nginx"):
        render(SMALL, "iis")
    assert "no active health checks" in " ".join(notes(SMALL, "nginx"))


def test_servers_that_join_later_are_not_configured_yet() -> None:
    joining = SMALL.but(events=[Event(1, "add", "s3")])
    assert "127.0.0.1:9003 down" in render(joining, "nginx")
    assert "127.0.0.1:9003 weight 1 disabled" in render(joining, "haproxy")
    assert "127.0.0.1:9003" not in render(joining, "caddy")


def test_config_lines_leaves_out_comments_and_blank_lines() -> None:
    assert config_lines("# no\n\nyes\n  # no\n  yes  # and why\n") == 2


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=8), st.sampled_from([100, 256]))
def test_whole_weights_keep_the_proportion(weights: list[float], most: int) -> None:
    whole = whole_weights({str(i): w for i, w in enumerate(weights)}, most)
    assert all(0 <= w <= most for w in whole.values())
    assert [w > 0 for w in whole.values()] == [w > 0 for w in weights]  # whoever has some gets some
    for (a, x), (b, y) in product(zip(weights, whole.values(), strict=True), repeat=2):
        assert x >= y if a > b else True
    assert whole_weights({"a": 1.0, "b": 1 / 3, "c": 0.0}, 256) == {"a": 3, "b": 1, "c": 0}


@pytest.mark.parametrize(
    ("installer", "hint"),
    [
        ("apt-get", "apt-get install nginx"),
        ("brew", "brew install nginx"),
        ("", "apt-get install nginx (macOS: brew install nginx)"),
    ],
)
def test_a_missing_program_is_one_line(monkeypatch: pytest.MonkeyPatch, installer: str, hint: str) -> None:
    monkeypatch.setattr("lbkit.needs.find_program", lambda names: None)
    monkeypatch.setattr("shutil.which", lambda name: name if name == installer else None)
    assert why_not("nginx") == f"nginx needs the program nginx ({hint})"


# -- running ------------------------------------------------------------------------------------


@every_program
def test_the_same_experiment(on: str) -> None:
    """Round robin is round robin: in turn, and the answers take what they take in the simulator."""
    simulated, measured = run(SMALL), run(SMALL, on=here(on))
    assert measured.engine == on
    assert measured.error_rate == 0
    assert len(measured) == len(simulated)
    assert max(measured.counts.values()) - min(measured.counts.values()) <= 1
    assert measured.extra["program"]
    assert measured.extra["config_lines"] == config_lines(measured.extra["config"])
    assert 0 < measured.extra["cpu_us_per_request"] < 50_000
    counted = measured.extra["stats"].get("servers", {})
    picks = {name: row["picks"] for name, row in counted.items() if "picks" in row}
    assert picks in ({}, measured.counts)  # by the program's own count
    if on == "nginx":
        assert measured.extra["stats"]["requests"] == len(measured) + 1  # and this question


@every_program
def test_keys_from_the_load_are_trusted(on: str) -> None:
    """The load comes from one address; the client that it plays is in X-Forwarded-For."""
    for policy, column in (("ip_hash", "client"), ("consistent_hash", "path")):
        if policy not in PEERS[on].algorithms:
            continue
        result = run(SMALL.but(policy=policy), on=here(on))
        pairs = set(zip(result.columns[column], result.backend, strict=True))
        assert len(pairs) == len(set(result.columns[column]))
        assert len(set(result.backend)) == 3


@every_program
def test_events_reach_the_program(on: str) -> None:
    policy = "weighted_round_robin" if on != "caddy" else "round_robin"
    long = SMALL.but(duration=30, policy=policy, events=[Event(29, "add", "s3")])

    with LiveSession(long, here(on)) as session:

        def served(seconds: float = 0.5) -> Counter[str | None]:
            before = len(session.since(0))
            time.sleep(seconds)
            return Counter(row[3] for row in session.since(before) if row[0] > session.elapsed - seconds)

        def settles(fits: Callable[[Counter[str | None]], bool], what: str) -> None:
            until(lambda: fits(served()), what)

        settles(lambda n: n.keys() == {"s1", "s2"}, "s3 has not joined")
        session.add("s3")
        settles(lambda n: n.keys() == {"s1", "s2", "s3"}, "s3 has joined")
        if on == "caddy":
            with pytest.raises(PeerError, match="no weights"):
                session.set_weight("s1", 3)
        else:
            session.set_weight("s1", 3)
            settles(lambda n: 2 * n["s2"] < n["s1"] < 4.5 * n["s2"], "three times as many")
        session.drain("s2")
        settles(lambda n: n.keys() == {"s1", "s3"}, "s2 drains")
        session.undrain("s2")
        settles(lambda n: n.keys() == {"s1", "s2", "s3"}, "s2 does not drain any more")
        session.remove("s1")
        settles(lambda n: n.keys() == {"s2", "s3"}, "s1 has left")
        for change in (session.drain, session.undrain, session.remove):
            with pytest.raises(PeerError, match="'s1' is not in the pool: add it first"):
                change("s1")
        session.add("s1")
        settles(lambda n: n.keys() == {"s1", "s2", "s3"}, "s1 is back")
        assert {row["name"]: row["weight"] for row in session.state()}["s1"] == 1
        session.drain("s2")
        settles(lambda n: n.keys() == {"s1", "s3"}, "s2 drains again")
        session.crash("s3")
        settles(lambda n: "s3" not in n, "only s1 answers")
        session.recover("s3")
        settles(lambda n: "s3" in n, "s3 is back")
        assert {row["name"]: row["intent"] for row in session.state()}["s2"] == "drain"
        session.switch("least_connections")
        settles(lambda n: n.keys() == {"s1", "s3"}, "another algorithm, the same servers")
        bad = [row for row in session.since(0) if row[6] >= 500]
        # What ran on s3 when it fell. Caddy's second try may meet the dead one again, and Apache answers some
        # requests 503 meanwhile (see their notes).
        assert len(bad) <= (0.1 * len(session.since(0)) if on in ("apache", "caddy") else 3), bad


@every_program
def test_nothing_is_left(on: str) -> None:
    """Not even when the process that started it is killed."""
    code = f"""
import json, sys, time
from lbkit import Experiment, servers
from lbkit.core import Backend
from lbkit.live import PEERS
peer = PEERS[{here(on)!r}](Experiment(servers(2)))
peer.start([Backend("s1", host="127.0.0.1", port=1), Backend("s2", host="127.0.0.1", port=2)])
print(json.dumps([p.pid for p in peer._processes()]), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pids = json.loads(parent.stdout.readline())
        assert pids
        parent.send_signal(signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "all are gone")


@every_program
def test_a_program_that_does_not_start_says_why(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PEERS[here(on)], "config", lambda self: "} nonsense {\n")
    peer = PEERS[on](SMALL)
    with pytest.raises(PeerError, match=rf"(?is){on} did not start: .*(nonsense|unexpected|unknown|no mpm)"):
        peer.start([])
    assert peer._temporary is None


# -- layer 4 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["nginx", "haproxy"])
def test_layer_4_balances_connections(on: str) -> None:
    """Few connections carry all requests: the program spreads those, and is none the wiser."""
    try:
        result = run(SMALL.but(policy="least_connections"), on=here(on), layer=4)
    except PeerError as error:
        if "stream module" in str(error):
            pytest.skip(str(error))
        raise
    assert result.error_rate == 0
    assert set(result.status) == {200}
    assert sum(result.counts.values()) == len(result)
    assert "layer 4" in result.notes[0]


def test_layer_4_is_named_in_the_notes() -> None:
    assert "stream {" in render(SMALL, "nginx", layer=4)
    assert "mode tcp" in render(SMALL, "haproxy", layer=4)
    assert "http-request" not in render(SMALL, "haproxy", layer=4)
    with pytest.raises(PeerError, match="caddy has no layer 4 here: 7"):
        render(SMALL, "caddy", layer=4)
    for program in ("nginx", "haproxy"):
        with pytest.raises(PeerError, match="hash by path on layer 4"):
            render(SMALL.but(policy="consistent_hash"), program, layer=4)


def test_balancers_of_its_own() -> None:
    """nginx's workers count each for itself; the others here decide alone, and say so."""
    several = SMALL.but(policy=Policy("round_robin", balancers=2))
    assert "worker_processes 2;" in render(several, "nginx")
    with pytest.raises(PeerError, match=r"haproxy runs as one balancer here: policy\.balancers is 2"):
        render(several, "haproxy")
    result = run(several, on=here("nginx"))
    assert result.error_rate == 0
    assert min(result.counts.values()) > 0
    assert "no slow start" in " ".join(notes(SMALL.but(policy=Policy(panic=0.5)), "nginx"))


@pytest.mark.parametrize(
    ("on", "key", "line"),
    [
        ("nginx", "cookie:sid", "hash $cookie_sid consistent;"),
        ("nginx", "header:X-User", "hash $http_x_user consistent;"),
        ("nginx", "flow", "hash $remote_addr:$remote_port consistent;"),
        ("haproxy", "query:user", "balance url_param user"),
        ("haproxy", "cookie:sid", "balance hash req.cook(sid)"),
        ("haproxy", "uri", "balance uri whole"),
        ("caddy", "header:X-User", "lb_policy header X-User"),
    ],
)
def test_a_key_is_called_by_its_name_there(on: str, key: str, line: str) -> None:
    experiment = SMALL.but(policy=Policy("consistent_hash", key=key))
    assert line in render(experiment, on)
    assert run(experiment, on=here(on)).error_rate == 0
