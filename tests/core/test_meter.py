from __future__ import annotations

import pytest

from lbkit.core.meter import LoadMeter


def test_a_steady_stream_is_measured_exactly() -> None:
    """Ten a second, each 50 ms on one of two workers: a quarter busy."""
    meter = LoadMeter(workers=2)
    for i in range(200):
        meter.started(i / 10)
        meter.ended(i / 10 + 0.05, 0.05, ok=i % 5 > 0)
    report = meter.report(20.0)
    assert report.in_flight == 0
    assert report.utilisation == pytest.approx(0.25, rel=0.1)
    assert report.rate == pytest.approx(10, rel=0.1)
    assert report.errors == pytest.approx(2, rel=0.25)
    assert report.latency == pytest.approx(0.05)


def test_averages_decay() -> None:
    meter = LoadMeter(half_life=1.0)
    meter.started(0.0)
    meter.ended(5.0, 5.0, True)
    busy = meter.report(5.0)
    later = meter.report(6.0)
    assert later.utilisation == pytest.approx(busy.utilisation / 2)
    assert later.rate == pytest.approx(busy.rate / 2)
    assert (busy.idle, later.idle) == (0.0, 1.0)
    assert meter.report(5.5)[:-1] == later[:-1]  # a clock that goes back does no harm
