"""The places of an experiment, as data, and in both engines."""

from math import isclose

import pytest
from places import CLIENTS, REGIONS, VIRGINIA, WORK, WORLD, expected, experiment

from lbkit import (
    Closed,
    Constant,
    Experiment,
    ExperimentError,
    Geography,
    Policy,
    Server,
    run,
)
from lbkit.core.geo import Place
from lbkit.workload import client_name

# -- in the simulator -------------------------------------------------------------------------------


@pytest.mark.parametrize("balancer", ["", "us"])
def test_requests_pay_the_way(balancer: str) -> None:
    world = Geography(REGIONS, CLIENTS, balancer, access=0.01, detour=1.5)
    result = run(experiment(world))
    assert len(set(result.client)) > 50
    for client, backend, latency in zip(result.client, result.backend, result.latency, strict=True):
        assert isclose(latency, expected(client, result.backends[backend], world), abs_tol=1e-9)


def test_a_server_is_busy_while_it_works_and_not_while_a_request_travels() -> None:
    result = run(experiment())
    for service, start, end in zip(result.service, result.start, result.end, strict=True):
        assert isclose(service, WORK)
        assert start + service <= end


def test_nearest_beats_random_by_what_the_map_says() -> None:
    near, anywhere = run(experiment(policy=WORLD.policy())), run(experiment())
    clients = near.client
    best = [min(expected(client, zone) for zone in REGIONS) for client in clients]
    assert isclose(near.mean, sum(best) / len(best), rel_tol=1e-9)
    assert anywhere.mean > 3 * near.mean


def test_delays_come_on_top() -> None:
    for jitter in (0.0, 0.01):
        servers = [Server("s", workers=50, service=Constant(WORK), zone="eu", delay=0.5, delay_jitter=jitter)]
        result = run(experiment(servers=servers))
        more = [
            latency - expected(client, "eu") - 1.0
            for client, latency in zip(result.client, result.latency, strict=True)
        ]
        assert min(more) > -1e-9
        assert (max(more) > 1e-3) == bool(jitter)


@pytest.mark.parametrize("extra", ["retry", "cache", "layer4"])
def test_all_kinds_of_simulations_pay(extra: str) -> None:
    from lbkit import AttemptTimeouts, Layer4, Retry
    from lbkit.caching import Caching

    changed = {
        "retry": {"policy": Policy("random", retry=Retry(timeouts=AttemptTimeouts(total=5)))},
        "cache": {"cache": Caching("max-age=0")},
        "layer4": {"layer4": Layer4("request")},
    }[extra]
    result = run(experiment(**changed))
    for client, backend, latency in zip(result.client, result.backend, result.latency, strict=True):
        if backend >= 0:
            assert latency > expected(client, result.backends[backend]) - 1e-9


def test_the_simulator_says_what_it_cannot_do() -> None:
    away = experiment(Geography(REGIONS, CLIENTS, "us")).but(arrivals=Closed(5))
    with pytest.raises(ValueError, match=r"geography.balancer: .* not simulated"):
        run(away)
    assert len(run(experiment().but(arrivals=Closed(5))))


# -- as data -----------------------------------------------------------------------------------------


def test_files() -> None:
    setting = experiment(Geography(REGIONS, CLIENTS, "us", access=0.01))
    back = Experiment.from_toml(setting.to_toml())
    assert run(back).mean == run(setting).mean
    assert back.geography
    assert back.geography.balancer == "us"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"regions": {}}, "regions is {}: use a table"),
        ({"regions": {"eu": {"at": [91, 0]}}}, "regions.eu: latitude is 91"),
        ({"regions": {"eu": {"at": "Paris"}}}, "regions.eu: at is 'Paris': use"),
        ({"regions": {"eu": {"at": [0, 0], "capacity": -1}}}, "regions.eu.capacity is -1"),
        ({"clients": {"10.0.0.0/9": {"at": [0, 0]}}}, "clients: no network has 10.128.0.0/9"),
        ({"clients": {"10.0.0.1/8": {"at": [0, 0]}}}, "10.0.0.1/8 has host bits set"),
        ({"balancer": "su"}, "balancer: unknown region su"),
        ({"detour": 0.5}, "detour is 0.5"),
        ({"access": -1}, "access is -1"),
    ],
)
def test_faults(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Geography(**({"regions": REGIONS, "clients": CLIENTS} | fields))  # type: ignore[arg-type]


def test_each_server_is_in_a_region() -> None:
    with pytest.raises(ExperimentError, match=r"geography.regions: .*zone of s.*eu, us"):
        experiment(servers=[Server("s", zone="mars")])


def test_small_networks_may_lie_in_large_ones() -> None:
    clients = {"10.0.0.0/8": {"at": (0, 0)}, "10.1.0.0/16": {"at": (10, 10)}, "2001:db8::/32": {"at": (0, 0)}}
    world = Geography(REGIONS, clients)
    assert world.home("10.1.2.3") == "10.1.0.0/16"
    assert world.location("10.1.2.3").place == Place(10, 10)
    with pytest.raises(ValueError, match=r"no network has 192.0.2.1"):
        world.location("192.0.2.1")


def test_steering_is_the_policy() -> None:
    world = Geography({**REGIONS, "us": {"at": VIRGINIA, "capacity": 7}}, CLIENTS)
    steering = world.steering()
    assert {r.name: r.capacity for r in steering.regions}["us"] == 7
    result = run(experiment(world, world.policy()))
    for client, backend in zip(result.client, result.backend, strict=True):
        name = client_name(client)
        assert result.backends[backend] == steering.choose(name, world.location(name)).name


def test_many_networks_are_checked_at_once() -> None:
    at = {"at": (0, 0)}
    clients = {f"10.{i // 64}.{i % 64 * 4}.0/22": at for i in range(2**14)}
    assert len(Geography(REGIONS, clients).clients) == 2**14
    for network, missing in {"10.0.0.0/22": "10.0.0.0/22", "10.255.252.0/22": "10.255.252.0/22"}.items():
        left = {one: at for one in clients if one != network}
        with pytest.raises(ValueError, match=f"clients: no network has {missing}"):
            Geography(REGIONS, left)
    assert Geography(REGIONS, {"0.0.0.0/0": at})


@pytest.mark.parametrize("zone", ["mars", None, ["eu"]])
def test_an_unknown_region_is_named(zone: object) -> None:
    with pytest.raises(ValueError, match=r"unknown region .*; known are "):
        WORLD.to_server("10.0.0.1", zone)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="regions has 3: use a text as a name"):
        Geography({3: {"at": (0, 0)}}, CLIENTS)
