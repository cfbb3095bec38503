from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from strategies import experiments

from lbkit import (
    Action,
    Closed,
    Constant,
    ConstantRate,
    Empirical,
    Event,
    Experiment,
    ExperimentError,
    Failures,
    OnOff,
    Poisson,
    Policy,
    Profile,
    Server,
    SlowStart,
    Trace,
    Traffic,
    presets,
    servers,
)
from lbkit.core.balance import LeastConnections

# -- files and back -------------------------------------------------------------------


@given(experiments())
def test_toml_and_back(experiment: Experiment) -> None:
    assert Experiment.from_toml(experiment.to_toml()) == experiment


@given(experiments())
def test_json_and_back(experiment: Experiment) -> None:
    assert Experiment.from_json(experiment.to_json()) == experiment


def test_a_file_by_its_ending(tmp_path: Path) -> None:
    experiment = Experiment(servers(2), name="größer")
    (tmp_path / "e.toml").write_text(experiment.to_toml(), encoding="utf-8")
    (tmp_path / "e.json").write_text(experiment.to_json(), encoding="utf-8")
    assert Experiment.load_file(tmp_path / "e.toml") == experiment
    assert Experiment.load_file(str(tmp_path / "e.json")) == experiment


def test_default_values_are_not_written() -> None:
    assert tomllib.loads(Experiment(servers(1)).to_toml()) == {"servers": [{"name": "s1"}]}


def test_a_file_as_one_would_write_it() -> None:
    experiment = Experiment.from_toml("""
        seed = 7
        name = "one is slow"

        [[servers]]
        name = "a"
        workers = 4
        service = { kind = "constant", mean = 1 }

        [[servers]]
        name = "b"
        speed = 0.5

        [traffic]
        duration = 10
        arrivals = { kind = "poisson", rate = 50 }

        [policy]
        algorithm = "consistent_hash"
        options = { points = 40 }
        key = "client"

        [[events]]
        at = 5
        action = "slow"
        server = "b"
        value = 0.1
    """)
    assert experiment == Experiment(
        servers=[Server("a", workers=4, service=Constant(1)), Server("b", speed=0.5)],
        traffic=Traffic(Poisson(50), duration=10),
        policy=Policy("consistent_hash", {"points": 40}, key="client"),
        events=[Event(5, Action.SLOW, "b", 0.1)],
        seed=7,
        name="one is slow",
    )


# -- what is wrong, and where ----------------------------------------------------------

A = '[[servers]]\nname = "a"\n'
SERVICE = A + "[servers.service]\n"
TRAFFIC = A + "[traffic]\n"
ARRIVALS = A + "[traffic.arrivals]\n"
POLICY = A + "[policy]\n"
EVENT = A + '[[events]]\nserver = "a"\n'

WRONG = [
    # not there, or no table or list at all
    ("", "servers is missing"),
    ("servers = []", "servers: there must be at least one"),
    ("servers = 3", "servers is 3: use a list"),
    ('servers = ["a"]', "servers[0] must be a table of name, workers, speed"),
    ("[[servers]]", "servers[0].name is missing"),
    ("traffic = 3\n" + A, "traffic must be a table of arrivals, duration"),
    ('policy = "random"\n' + A, "policy must be a table of algorithm, options"),
    (EVENT + 'action = "drain"', "events[0].at is missing"),
    (ARRIVALS + 'kind = "trace"', "traffic.arrivals.times is missing"),
    (ARRIVALS + 'kind = "trace"\ntimes = 3', "traffic.arrivals.times is 3: use a list"),
    (POLICY + "options = 3", "policy.options must be a table"),
    # unknown names
    (
        "sedd = 3\n" + A,
        "unknown sedd; known are servers, traffic, policy, events, seed, name, limits, admission, cache",
    ),
    (A + "wrokers = 3", "servers[0]: unknown wrokers; known are name, workers"),
    (TRAFFIC + "users = 3", "traffic: unknown users; known are arrivals"),
    (SERVICE + 'kind = "constant"\nmena = 1', "servers[0].service: unknown mena; known are mean"),
    (
        SERVICE + 'kind = "gauss"',
        "servers[0].service is {'kind': 'gauss'}: needs a kind, one of exponential,",
    ),
    (SERVICE + 'kind = ["constant"]', "servers[0].service is {'kind': ['constant']}: needs a kind"),
    (SERVICE + "mean = 3", "servers[0].service is {'mean': 3}: needs a kind"),
    (A + "service = 0.02", "servers[0].service is 0.02: needs a kind"),
    (ARRIVALS + 'kind = "rain"', "traffic.arrivals is {'kind': 'rain'}: needs a kind, one of poisson"),
    (POLICY + 'algorithm = "rund_robin"', "policy: no algorithm 'rund_robin': did you mean round_robin?"),
    (POLICY + "options = { points = 3 }", "unknown option points"),
    (POLICY + "options = { rng = 3 }", "policy: unknown option rng; there are none"),
    (POLICY + 'key = "cookie"', "policy.key is 'cookie': use one of client, path"),
    (EVENT + 'at = 1\naction = "explode"', "events[0].action is 'explode': use one of crash, recover"),
    (EVENT + 'at = 1\naction = ["slow"]', "events[0].action is ['slow']: use one of crash"),
    # strictly the right type
    (A + "workers = 2.5", "servers[0].workers is 2.5: use a whole number"),
    (A + 'workers = "3"', "servers[0].workers is '3': use a whole number"),
    (A + "workers = true", "servers[0].workers is True: use a whole number"),
    (A + "speed = true", "servers[0].speed is True: use a number"),
    (A + 'speed = "fast"', "servers[0].speed is 'fast': use a number"),
    (A + "zone = 3", "servers[0].zone is 3: use a text in quotes"),
    (A + 'queue = "long"', "servers[0].queue is 'long': use a whole number"),
    (A + A.replace('"a"', "3"), "servers[1].name is 3: use a text in quotes"),
    ("seed = 1.5\n" + A, "seed is 1.5: use a whole number"),
    ("name = 3\n" + A, "name is 3: use a text in quotes"),
    (ARRIVALS + 'kind = "trace"\ntimes = [1, "b"]', "traffic.arrivals.times[1] is 'b': use a number"),
    (ARRIVALS + 'kind = "closed"\nusers = 2.5', "traffic.arrivals.users is 2.5: use a whole number"),
    (EVENT + 'at = 1\naction = "slow"\nvalue = true', "events[0].value is True: use a number"),
    (ARRIVALS + f'kind = "poisson"\nrate = {10**400}', "0: use a smaller number"),
    # the right range
    (A + "workers = 0", "servers[0].workers is 0: use a whole number of at least 1"),
    (A + "speed = 0", "servers[0].speed is 0.0: use a number at least 1e-06"),
    (A + "weight = -1", "servers[0].weight is -1.0: use a number at least 0"),
    (A + "weight = nan", "servers[0].weight is nan: use a number at least 0"),
    (A + "weight = inf", "servers[0].weight is inf: use a number at least 0"),
    (A + "queue = -1", "servers[0].queue is -1: use a whole number of at least 0"),
    (A + "error_rate = 2", "servers[0].error_rate is 2.0: use a number at least 0 and at most 1"),
    (
        SERVICE + 'kind = "constant"\nmean = 0',
        "servers[0].service.mean is 0.0: use a number at least 1e-09 and at most 1e+07",
    ),
    (SERVICE + 'kind = "pareto"\nalpha = 1', "servers[0].service.alpha is 1.0: use a number above 1"),
    (
        SERVICE + 'kind = "bimodal"\nfast = 2',
        "servers[0].service.slow is 0.2: use at least what fast is, 2.0",
    ),
    (TRAFFIC + "duration = 0", "traffic.duration is 0.0: use a number above 0 and at most 1e+07"),
    (TRAFFIC + "warmup = 30", "traffic.warmup is 30 s: nothing is left of 30 s"),
    (TRAFFIC + "clients = 0", "traffic.clients is 0: use a whole number of at least 1"),
    (
        ARRIVALS + 'kind = "poisson"\nrate = 0',
        "traffic.arrivals.rate is 0.0: use a number at least 1e-09 and at most 1e+09",
    ),
    (ARRIVALS + 'kind = "trace"\ntimes = [2, 1]', "traffic.arrivals.times must be seconds from the start"),
    (POLICY + "retries = -1", "policy.retries is -1: use a whole number of at least 0"),
    (POLICY + 'algorithm = "consistent_hash"\noptions = { points = 0 }', "policy: points is 0"),
    (EVENT + 'at = -1\naction = "drain"', "events[0].at is -1.0: use a number at least 0"),
    (EVENT + 'at = 1\naction = "drain"\nvalue = 1', "events[0].value is 1.0: 'drain' takes none"),
    (
        EVENT + 'at = 1\naction = "slow"',
        "events[0].value is None: 'slow' needs the factor on speed, from 1e-06 to 1e+06",
    ),
    (EVENT + 'at = 1\naction = "slow"\nvalue = 0', "events[0].value is 0.0: 'slow' needs the factor"),
    (EVENT + 'at = 1\naction = "slow"\nvalue = inf', "events[0].value is inf: 'slow' needs the factor"),
    (EVENT + 'at = 1\naction = "set_weight"\nvalue = -1', "events[0].value is -1.0: 'set_weight' needs"),
    ("seed = -1\n" + A, "seed is -1: use a whole number of at least 0"),
    # what has to fit together
    (A + A, "servers[1].name is 'a', as in servers[0]"),
    ('[[servers]]\nname = ""', "servers[0].name is '': use a text that is not empty"),
    (
        EVENT.replace('server = "a"', 'server = "b"\nat = 1\naction = "drain"'),
        "events[0].server is 'b': use one",
    ),
    # what cannot happen in this order
    (
        A
        + "".join(
            f'[[events]]\nserver = "a"\nat = {at}\naction = "{action}"\n'
            for at, action in [(5, "drain"), (1, "remove")]
        ),
        "events[0].action is 'drain', but 'a' is not in the pool at 5 s: add it first",
    ),
    ("[failures]\nmtbf = 0\nmttr = 1\n" + A, "failures.mtbf is 0.0: use a number above 0"),
    ("[failures]\nmtbf = 1\n" + A, "failures.mttr is missing"),
    ('[failures]\nmtbf = 1\nmttr = 1\nservers = ["b"]\n' + A, "failures.servers[0] is 'b': use one of a"),
    ("[failures]\nmtbf = 1e-9\nmttr = 1e-9\n" + A, "failures.mtbf is 1e-09 s: about 1.5e+10 crashes"),
    # no TOML
    ("servers = [", "line 1, column 12: not TOML: "),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message for _, message in WRONG])
def test_an_error_names_the_field(text: str, message: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_toml(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: "),
        ("3", "experiment must be a table of servers, traffic"),
        ("[]", "experiment must be a table of servers, traffic"),
        ("null", "experiment must be a table of servers, traffic"),
        ('{"servers": null}', "servers is None: use a list"),
        ('{"servers": [null]}', "servers[0] must be a table"),
        ('{"servers": [{"name": "a"}], "seed": NaN}', "seed is nan: use a whole number"),
    ],
)
def test_json_can_be_wrong_in_more_ways(text: str, message: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_json(text)
    assert message in str(caught.value)


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_toml('[[servers]]\nname = "a"\nworkers = 2.5\nspeed = "x"\n[traffic]\nduration = 0')
    assert str(caught.value).splitlines() == [
        "servers[0].workers is 2.5: use a whole number",
        "servers[0].speed is 'x': use a number",
        "traffic.duration is 0.0: use a number above 0 and at most 1e+07",
    ]


def test_an_event_is_named_by_its_place_in_the_file() -> None:
    events = [Event(20, "drain", "ghost"), Event(10, "drain", "s1")]
    with pytest.raises(ExperimentError, match=r"events\[0\]\.server is 'ghost': use one of s1, s2"):
        Experiment(servers(2), events=events)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Server("a", service=0.02), "service is 0.02: use Exponential or Constant or"),
        (lambda: Server("a", workers=True), "workers is True"),
        (lambda: Server("a", workers=2.0), "workers is 2.0"),
        (lambda: Traffic(arrivals=100), "arrivals is 100: use Poisson or ConstantRate"),
        (lambda: Trace(["x"]), "times must be seconds"),
        (lambda: Trace([1, math.inf]), "0 or later, never going back"),
        (lambda: Event(1, "slow", "a", True), "value is True"),
        (lambda: Event(1, "jump", "a"), "is 'jump': use one of crash"),
        (lambda: Experiment([]), "servers: there must be at least one"),
        (lambda: Experiment(["a"]), r"servers\[0\] is 'a': use a Server"),
        (lambda: Server(3), "name is 3: use a text"),
        (lambda: Experiment(servers(1), traffic=3), "traffic is 3: use Traffic"),
        (lambda: Experiment(servers(1), policy=3), "policy is 3: use a Policy, an algorithm's name"),
        (lambda: Experiment(servers(1), policy="leastconn"), "no algorithm 'leastconn'"),
        (lambda: Experiment(servers(1), events=[3]), r"events\[0\] is 3: use an Event"),
        (lambda: servers(3, speed=[1, 2]), "speed: 2 speeds for 3 servers"),
        (lambda: Experiment(servers(1)).but(duration=0), "duration is 0"),
    ],
)
def test_objects_made_in_python_are_checked_too(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- copies and figures ------------------------------------------------------------------


def test_servers() -> None:
    three = servers(3, workers=2)
    assert [s.name for s in three] == ["s1", "s2", "s3"]
    assert {s.workers for s in three} == {2}
    assert [s.speed for s in servers(2, speed=[1, 0.25])] == [1, 0.25]
    assert [s.speed for s in servers(2, speed=3)] == [3, 3]


def test_but() -> None:
    before = Experiment(servers(2), Traffic(ConstantRate(10), duration=5))
    after = before.but(policy="random", duration=9, clients=3, seed=2)
    assert after.traffic == Traffic(ConstantRate(10), duration=9, clients=3)
    assert (after.policy, after.seed, after.servers) == (Policy("random"), 2, before.servers)
    assert before == Experiment(servers(2), Traffic(ConstantRate(10), duration=5))
    both = before.but(traffic=Traffic(duration=7), warmup=1)
    assert both.traffic == Traffic(duration=7, warmup=1)
    with pytest.raises(TypeError, match="colour"):
        before.but(colour="red")


def test_a_policy_from_a_name_or_a_class() -> None:
    assert Experiment(servers(1), policy=LeastConnections).policy == Policy("least_connections")
    assert Policy.of("random") == Policy.of(Policy("random")) == Policy("random")
    assert Policy("random").keyed_by == "client"
    assert Policy("consistent_hash").keyed_by == "path"
    assert Policy("consistent_hash", key="client").keyed_by == "client"


def test_load() -> None:
    # 2 workers at 1/0.02 s and one at double speed: 200 a second.
    experiment = Experiment([Server("a", workers=2), Server("b", speed=2)])
    assert experiment.capacity == pytest.approx(200)
    assert experiment.load == pytest.approx(0.5)
    assert experiment.at_load(0.8).load == pytest.approx(0.8)
    assert experiment.at_load(0.8).traffic.arrivals.rate == pytest.approx(160)
    assert experiment.but(arrivals=Closed()).load is None
    assert experiment.but(arrivals=Trace([0.5, 1, 2])).load == pytest.approx(3 / 30 / 200)
    with pytest.raises(ValueError, match="load is 0: use a number above 0"):
        experiment.at_load(0)


def test_servers_that_join_later_are_not_in_the_capacity_at_the_start() -> None:
    experiment = Experiment(servers(3), events=[Event(5, "add", "s3"), Event(1, "drain", "s1")])
    assert experiment.joining == {"s3"}
    assert experiment.capacity == pytest.approx(100)
    assert [e.at for e in experiment.events] == [1, 5]  # in order of time
    empty = Experiment(servers(1), events=[Event(5, Action.ADD, "s1")])
    assert (empty.capacity, empty.load) == (0, math.inf)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            [(1, "remove"), (2, "remove")],
            r"events\[1\].action is 'remove', but 's1' is not in the pool at",
        ),
        ([(1, "remove"), (2, "drain")], r"events\[1\].action is 'drain', but 's1' is not in the pool"),
        ([(1, "remove"), (2, "undrain")], r"events\[1\].action is 'undrain', but 's1' is not in the pool"),
        ([(2, "set_weight"), (1, "remove")], r"events\[0\].action is 'set_weight', but 's1' is not in the"),
        ([(1, "drain"), (2, "add")], r"events\[0\].action is 'drain', but 's1' is not in the pool at 1 s"),
        ([(1, "add"), (2, "add")], r"events\[1\].action is 'add', but 's1' is in the pool at 2 s: remove it"),
        ([(1, "remove"), (2, "add"), (2, "add")], r"events\[2\].action is 'add', but 's1' is in the pool"),
        ([(1, "remove"), (1, "add")], None),
        ([(1, "add"), (2, "remove"), (3, "add"), (3, "remove")], None),
        ([(1, "remove"), (2, "crash"), (3, "slow"), (4, "recover")], None),
        ([(1, "drain"), (2, "drain"), (3, "undrain"), (3, "undrain"), (4, "remove")], None),
    ],
)
def test_events_have_to_be_possible_in_their_order(events: list, message: str | None) -> None:
    values = {"set_weight": 2.0, "slow": 0.5}
    made = [Event(at, action, "s1", values.get(action)) for at, action in events]
    if message is None:
        assert Experiment(servers(2), events=made).events == tuple(made)
    else:
        with pytest.raises(ExperimentError, match=message):
            Experiment(servers(2), events=made)


def test_a_server_removed_before_it_is_added_is_in_the_pool_at_the_start() -> None:
    events = [Event(1, "remove", "s1"), Event(2, "add", "s1"), Event(3, "add", "s2")]
    assert Experiment(servers(3), events=events).joining == {"s2"}


# -- health ----------------------------------------------------------------------------------


CRASH = [Event(1, "crash", "s1")]


@pytest.mark.parametrize(
    "down", [{"events": CRASH}, {"failures": Failures(10, 1)}], ids=["crash", "failures"]
)
def test_a_policy_that_goes_by_health_is_refused_when_servers_crash(down: dict) -> None:
    """Nothing sets the health of a backend: its panic would never begin, its levels would never change."""
    levels = [Server("s1"), Server("s2", priority=1)]
    zones = [Server("s1", zone="a"), Server("s2", zone="b")]
    for fleet, policy, message in [
        (servers(2), Policy(panic=0.5), "policy.panic is 0.5, and a server crashes: without policy.health"),
        (servers(2), presets.envoy("priority"), "policy.panic is 0.5, and a server crashes"),
        (servers(2), presets.aws_alb(), "policy.panic is 1e-06, and a server crashes"),
        (
            levels,
            "priority_levels",
            "policy.algorithm is 'priority_levels', which goes by the health of each",
        ),
        (zones, "locality_weighted", "'locality_weighted', which goes by the health of each zone"),
        (zones, "zone_aware", "'zone_aware', which goes by the health of each zone"),
    ]:
        experiment = Experiment(fleet, policy=policy, events=[Event(1, "drain", "s1")])
        with pytest.raises(ExperimentError, match=message):
            experiment.but(**down)
    one_level = Experiment(servers(2), policy="priority_levels", **down)
    assert one_level.but(policy=attrs.evolve(presets.envoy("priority"), panic=0)).timeline


# -- random failures ----------------------------------------------------------------------------


def test_failures_are_events_by_the_seed() -> None:
    fails = Experiment(
        servers(3),
        Traffic(duration=1000),
        failures=Failures(mtbf=10, mttr=2, servers=["s1", "s2"]),
        events=[Event(500, "drain", "s3")],
    )
    timeline = fails.timeline
    assert [e.at for e in timeline] == sorted(e.at for e in timeline)
    assert {e.server for e in timeline if e.action is not Action.DRAIN} == {"s1", "s2"}
    assert Event(500, "drain", "s3") in timeline
    assert fails.events == (Event(500, "drain", "s3"),)
    assert fails.timeline == timeline
    assert fails.but(seed=2).timeline != timeline
    # One server's failures do not depend on those of the others.
    alone = fails.but(failures=Failures(mtbf=10, mttr=2, servers=["s2"]))
    assert [e for e in alone.timeline if e.server == "s2"] == [e for e in timeline if e.server == "s2"]


def test_up_and_down_times_have_their_means() -> None:
    fails = Experiment(servers(20), Traffic(duration=2000), failures=Failures(mtbf=10, mttr=2))
    up, down = [], []
    for name in (f"s{i}" for i in range(1, 21)):
        times = [0.0, *(e.at for e in fails.timeline if e.server == name)]
        assert all(a is Action.CRASH for a in [e.action for e in fails.timeline if e.server == name][::2])
        assert len(times) % 2  # each crash has its recovery
        up += [b - a for a, b in zip(times[::2], times[1::2], strict=False)]
        down += [b - a for a, b in zip(times[1::2], times[2::2], strict=False)]
    assert len(down) == pytest.approx(20 * 2000 / (10 + 2), rel=0.05)
    for found, mean in ((up, 10), (down, 2)):
        assert sum(found) / len(found) == pytest.approx(mean, rel=0.06)
        assert sum(t > mean for t in found) / len(found) == pytest.approx(math.exp(-1), abs=0.03)


def test_thousands_of_servers_become_plain_data_quickly() -> None:
    assert len(Experiment(servers(5000)).to_dict()["servers"]) == 5000


def test_json_is_plain_data() -> None:
    text = Experiment(servers(1), events=[Event(1, "drain", "s1")], policy="random").to_json()
    assert json.loads(text) == {
        "servers": [{"name": "s1"}],
        "policy": {"algorithm": "random"},
        "events": [{"at": 1, "action": "drain", "server": "s1"}],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": 1e300}, "duration is 1e+300: use a number above 0 and at most 1e+07"),
        ({"duration": 1e7}, "duration is 1e+07 s: with up to 100 requests a second that is more than"),
        ({"duration": 10**400}, "use a number above 0 and at most 1e+07"),
        ({"clients": 10**9}, "clients is 1000000000: use a whole number of at least 1 and at most 1000000"),
        ({"paths": 10**9}, "paths is 1000000000: use a whole number of at least 1 and at most 1000000"),
        ({"arrivals": Profile([(0, 1), (60, 1e9)])}, "with up to 1e+09 requests a second that is more than"),
    ],
)
def test_what_does_not_fit_into_memory_is_refused(change: dict[str, Any], message: str) -> None:
    """It was a MemoryError, late."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Experiment(servers(2)).but(**change)


def test_a_process_out_of_bounds_is_refused_by_name() -> None:
    for name, make in {
        "rate": lambda: ConstantRate(1e300),
        "peak": lambda: OnOff(peak=1e300),
        "on": lambda: OnOff(on=1e-300),  # a run of nothing but beginnings of bursts
        "off": lambda: OnOff(off=1e300),
        "users": lambda: Closed(10**9),
        "think": lambda: Closed(think=1e300),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} is .*: use a (whole )?number .*at most"):
            make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Profile(3), "points is 3: use pairs of numbers"),
        (lambda: Profile("ab"), "points is 'ab': use pairs of numbers"),
        (lambda: Profile([(0, 1, 2)]), "points is .*: use pairs of numbers"),
        (lambda: Policy("random", options=3), "options is 3: use Mapping"),
        (lambda: Policy("random", slow_start=3), "slow_start is 3: use SlowStart"),
        (lambda: SlowStart("x"), "window is 'x': use a number above 0"),
        (lambda: SlowStart(1, floor=math.nan), "floor is nan"),
        (lambda: servers(2, speed=None), "speed is None: use a number"),
        (lambda: Experiment(servers(1)).but(traffic=None, duration=3), "traffic is None: use Traffic"),
        (
            lambda: Experiment(servers(1, weight=0)).at_load(0.5),
            "load cannot be set: no server with",
        ),
        (lambda: Experiment.from_json("[" * 100_000), "JSON: lists or tables are nested too deeply"),
        (lambda: Experiment.from_json("1" * 5000), "JSON: a number has too many digits"),
    ],
)
def test_a_wrong_type_is_named(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("wrong", ["x", [1, None], [True], math.nan, None, [10**400], [-1]])
def test_wrong_times_are_named(wrong: Any) -> None:
    for cls in (Empirical, Trace):
        with pytest.raises(ValueError, match="times must be seconds"):
            cls(wrong)


@pytest.mark.parametrize("wrong", [["a"], [1.5], [None], [-1]])
def test_wrong_numbers_of_clients_are_named(wrong: Any) -> None:
    with pytest.raises(ValueError, match="clients and paths must be whole numbers"):
        Trace([1], clients=wrong)
    with pytest.raises(ValueError, match="demands are quantiles"):
        Trace([1], demands=[wrong])
