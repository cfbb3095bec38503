"""One experiment with rate limits admits the same requests in the simulator, our proxy and nginx."""

from __future__ import annotations

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Admission, Constant, ConstantRate, Experiment, OnOff, RateLimit, Traffic, run, servers
from lbkit.live import PEERS, PeerError, render

pytestmark = pytest.mark.live

SHOP = Experiment(
    servers(2, service=Constant(0.002)),
    Traffic(ConstantRate(100), duration=2, clients=5, client_skew=2.0, paths=3),
    seed=3,
)
NGINX = RateLimit({"kind": "nginx_limit", "rate": 10, "burst": 5})
QUEUE = RateLimit({"kind": "leaky_queue", "rate": 30, "capacity": 12}, key="global", path="/item/0")


def let_in(experiment: Experiment, on: str) -> list[int]:
    """By client."""
    result = run(experiment, on=on)
    assert set(result.status) == {200, 429}
    return [len(result.where(client=client, status=200)) for client in range(5)]


@pytest.mark.parametrize("on", ["live", "nginx"])
def test_the_same_requests_are_admitted(on: str) -> None:
    """A request more or less: where the moment of arrival decides, a millisecond may."""
    if on == "nginx":
        need("nginx")
    limited = SHOP.but(limits=[NGINX])
    assert let_in(limited, on) == pytest.approx(let_in(limited, "sim"), abs=1)


def test_the_same_requests_are_delayed() -> None:
    simulated, measured = (run(SHOP.but(limits=[QUEUE]), on=on).where(path=0) for on in ("sim", "live"))
    assert len(measured.where(status=200)) == pytest.approx(len(simulated.where(status=200)), abs=1)
    assert 0.1 < simulated.mean < 0.4
    assert measured.mean == pytest.approx(simulated.mean, abs=0.1)


def test_the_same_requests_wait_at_the_gate() -> None:
    """A burst that a short queue cannot hold: lost without a gate, late with one, in both engines alike."""
    bursts = Experiment(
        servers(1, service=Constant(0.008), queue=5),  # a third faster than the gate, as processes cost time
        Traffic(OnOff(peak=250, on=0.2, off=0.6), duration=2.5, clients=5, client_skew=3),
        seed=3,
    )
    gate = Admission(rate=90, max_queue=300, timeout=5, queue="fair")
    lost = [run(bursts, on=on).error_rate for on in ("sim", "live")]
    assert lost[1] == pytest.approx(lost[0], abs=0.15)
    simulated, measured = (run(bursts.but(admission=gate), on=on) for on in ("sim", "live"))
    assert simulated.error_rate == 0
    assert measured.error_rate < 0.03
    assert measured.mean == pytest.approx(simulated.mean, rel=0.3)
    modest = [r.where(client=lambda client: client > 0).mean for r in (simulated, measured)]
    assert max(modest) < 0.3 * simulated.mean


def test_limits_in_the_configuration_of_programs() -> None:
    text = render(SHOP.but(limits=[NGINX]), "nginx")
    assert "zone=limit0:10m rate=10r/s;" in text
    assert "limit_req zone=limit0 burst=5 nodelay;" in text
    slow = RateLimit({"kind": "nginx_limit", "rate": 0.5, "burst": 3, "delay": 1}, "header:X-User", "/api")
    text = render(SHOP.but(limits=[NGINX, slow]), "nginx")
    assert "rate=30r/m;" in text
    assert "burst=3 delay=1;" in text
    assert '"~^/api(/|$)" $http_x_user;' in text


def test_limits_that_programs_do_not_have() -> None:
    with pytest.raises(PeerError, match="nginx has no gcra: its limit_req is nginx_limit"):
        render(SHOP.but(limits=[RateLimit({"kind": "gcra", "rate": 1})]), "nginx")
    with pytest.raises(PeerError, match="whole requests a second or minute, not"):
        render(SHOP.but(limits=[RateLimit({"kind": "nginx_limit", "rate": 0.123})]), "nginx")
    with pytest.raises(PeerError, match="on layer 7 only"):
        render(SHOP.but(limits=[NGINX]), "nginx", layer=4)
    for name in PEERS.keys() - {"nginx"}:
        with pytest.raises(PeerError, match=f"{name} has no rate limits here"):
            render(SHOP.but(limits=[NGINX]), name)
    for name in PEERS:
        with pytest.raises(PeerError, match=f"{name} has no admission here"):
            render(SHOP.but(admission=Admission()), name)
