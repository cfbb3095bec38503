from __future__ import annotations

import plotly.graph_objects as go
import pytest

from lbkit.core.health import CheckRules, CheckState
from lbkit.viz import HealthPanel
from lbkit.viz.health_panel import BROKEN, FAULTS, SECONDS, checked, finding, timeline

RULES = CheckRules(interval=2.0, timeout=1.0, fall=3, rise=2)


def test_a_killed_server_is_found_sooner_than_a_stopped_one_by_the_timeout() -> None:
    killed, stopped = (
        next(c.at for c in checked(RULES, fault) if c.state is CheckState.DOWN)
        for fault in ("kill -9", "SIGSTOP")
    )
    assert stopped - killed == pytest.approx(RULES.timeout)
    assert 0 <= killed - BROKEN <= RULES.longest_detection()


def test_one_check_in_ten_ejects_with_fall_1_and_hardly_with_fall_3() -> None:
    def outs(fall: int) -> int:
        rules = CheckRules(interval=1.0, timeout=1.0, fall=fall, rise=1)
        return sum(
            c.state is CheckState.DOWN
            for seed in range(20)
            for c in checked(rules, "one check in ten fails", seed)
        )

    assert outs(1) == pytest.approx(0.1 * 20 * SECONDS, rel=0.3)
    assert outs(3) < 0.05 * outs(1)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_panel(fault: str) -> None:
    panel = HealthPanel(fault=fault)
    assert list(panel.checks) == ["fall=1, rise=1", "fall=3, rise=2"]
    for checks in panel.checks.values():
        assert [c.sent for c in checks] == [1 + 2 * i for i in range(30)]
    drawn = timeline(panel.checks)
    go.Figure(drawn.to_dict())  # plotly's own validation
    heat, passed, failed = drawn.data
    assert len(heat.x) == len(heat.z[0]) + 1
    assert len(passed.x) + len(failed.x) == sum(map(len, panel.checks.values()))
    assert any(3 in row for row in heat.z)


def test_its_sliders_redraw_it_and_reset_puts_them_back() -> None:
    panel = HealthPanel(fault="kill -9")
    before, number = panel.summary.value, panel.view.number
    assert "found after 5 s, 0.5 probes a second" in before
    panel.controls["interval"].value = 1.0
    assert panel.view.number == number + 1
    assert "found after 2.5 s, 1 probes a second" in panel.summary.value
    panel.controls["fault"].value = "one check in ten fails"
    panel.controls["fall"].value = 1
    assert panel.checks.keys() == {"fall=1, rise=1", "fall=1, rise=2"}
    panel.reset.click()
    assert panel.summary.value == before


def test_it_says_how_often_a_healthy_server_is_out() -> None:
    checks = checked(RULES, "one check in ten fails", 1)
    assert finding(checks, RULES, "one check in ten fails").startswith("never out of service")
    strict = CheckRules(interval=2.0, timeout=1.0, fall=1, rise=1)
    assert "times out of service" in finding(
        checked(strict, "one check in ten fails"), strict, "one check in ten fails"
    )
