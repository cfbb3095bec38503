"""What Prometheus and Alertmanager read: their own tools check it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from needs import need

from lbkit.alerts import high_error_rate, rule_file, server_down
from lbkit.live.monitor import Monitor, alertmanager_config, live_rules, prometheus_config
from lbkit.live.monitor.config import check_windows, windows


def checked(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [need(program), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_its_configuration_and_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rule_file(live_rules()))
    file = tmp_path / "prometheus.yml"
    file.write_text(prometheus_config(["127.0.0.1:9901", "[::1]:9902"], ["127.0.0.1:9093"], every=0.25))
    said = checked("promtool", "check", "config", file)
    assert "1 rule files found" in said
    assert f"{len(live_rules())} rules found" in said
    assert "scrape_interval: 250ms" in file.read_text()


def test_prometheus_needs_no_alertmanager(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(prometheus_config(["proxy:9901"], rule_files=()))
    checked("promtool", "check", "config", file)


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(alertmanager_config('http://127.0.0.1:1/alerts?a="b"', wait=0.5))
    said = checked("amtool", "check-config", file)
    assert "1 receivers" in said


def test_wrong_times_are_refused() -> None:
    with pytest.raises(ValueError, match="every is 0"):
        prometheus_config([], every=0)
    with pytest.raises(ValueError, match="wait is -1"):
        alertmanager_config("http://127.0.0.1:1", wait=-1)


@pytest.mark.parametrize("every", [0.1, 2.0, 7.0, 60.0])
def test_rules_are_made_for_the_scrapes_that_there_are(every: float) -> None:
    check_windows(live_rules(every=every), every)
    assert (
        min(w for rule in live_rules(every=every) for c in rule.conditions for w in windows(c)) >= 2 * every
    )


def test_a_rule_that_could_never_fire_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every is 3: HighErrorRate looks at the last 5 s, .* at most 2\.5"):
        Monitor(rules=[server_down(), high_error_rate(window=5)], every=3)
    Monitor(rules=[server_down(), high_error_rate(window=5)], every=2.5)


def test_the_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in live_rules()]
    assert len(set(names)) == len(names)
    limits = {rule.name: rule.conditions[0].limit for rule in live_rules(latency=0.2, objective=0.9)}
    assert (limits["HighLatency"], limits["BurnRate6x"]) == (0.2, 0.6)
