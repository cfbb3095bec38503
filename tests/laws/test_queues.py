from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import Experiment, run, servers
from lbkit.laws import in_system, utilisation

RATES = st.floats(0, 1e6)


def test_the_simulator_keeps_both_laws() -> None:
    r = run(
        Experiment(servers(2, workers=3), policy="least_connections", seed=3).at_load(0.8).but(duration=600)
    )
    level, _ = r.littles_law()
    rate = sum(r.counted) / r.window
    assert in_system(rate, r.mean) == pytest.approx(level, rel=0.02)
    for name, busy in r.utilisation.items():
        own = r.where(backend=name)
        work = sum(own.service) / len(own)
        assert utilisation(len(own) / r.window, work, 3) == pytest.approx(busy, rel=0.02)


@given(rate=RATES, wait=st.floats(0, 100), work=st.floats(0, 100))
def test_queue_and_server_add_up(rate: float, wait: float, work: float) -> None:
    assert in_system(rate, wait + work) == pytest.approx(in_system(rate, wait) + in_system(rate, work))


@given(rate=RATES, work=st.floats(0, 100), workers=st.integers(1, 100))
def test_utilisation_is_littles_law_of_the_workers(rate: float, work: float, workers: int) -> None:
    assert utilisation(rate, work, workers) * workers == pytest.approx(in_system(rate, work))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="rate is -1"):
        in_system(-1, 1)
    with pytest.raises(ValueError, match="service is nan"):
        utilisation(1, float("nan"))
    with pytest.raises(ValueError, match="workers is 0"):
        utilisation(1, 1, 0)
