"""Prometheus' own tool reads the rule files, and comes to the same alerts over the same metrics."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from alerts.incidents import INCIDENTS, store_of
from alerts.test_presets import RULES
from needs import need

from lbkit.alerts import Condition, Rule, evaluate, rule_file, rule_test
from lbkit.metrics import Store, Value
from lbkit.metrics.store import labels


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        [need("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(folder: Path, rules: list[Rule], store: Store) -> None:
    (folder / "rules.yml").write_text(rule_file(rules))
    (folder / "test.yml").write_text(rule_test(rules, store))
    promtool("check", "rules", folder / "rules.yml")
    promtool("test", "rules", folder / "test.yml")


@pytest.mark.parametrize("incident", INCIDENTS)
def test_prometheus_comes_to_the_same_alerts(tmp_path: Path, incident: str) -> None:
    assert ("exp_alerts: [{" in rule_test(RULES, store_of(incident))) == (incident != "quiet")
    check(tmp_path, RULES, store_of(incident))


def test_a_restart_is_the_same_to_both(tmp_path: Path) -> None:
    store = Store([5.0 * i for i in range(40)])
    counts = [float(i % 13 * 7) for i in range(40)]
    for code, factor in (("2xx", 1.0), ("5xx", 0.3)):
        values = [factor * count for count in counts]
        store.add("lbkit_requests_total", labels(backend='odd "name"', code=code), values)
    check(tmp_path, [RULES[0]], store)
    assert any(alert.fired for alert in evaluate([RULES[0]], store))


def test_quotes_and_own_labels_are_kept(tmp_path: Path) -> None:
    store = Store([0.0, 5.0, 10.0])
    for queue in ('a "b" \\ c', "a.c|d", "abc", "d"):
        store.add("depth", labels(queue=queue), [0, 9, 9])
    rule = Rule(
        "Deep",
        (Condition(Value("depth", {"queue": ('a "b" \\ c', "a.c|d")}), ">", 5),),
        severity="ticket",
        summary='it\'s "deep": see # 1',
        labels={"team": "web: 1"},
    )
    check(tmp_path, [rule], store)
    assert len(evaluate([rule], store)) == 2


def test_promtool_notices_a_wrong_expectation(tmp_path: Path) -> None:
    store = store_of("a crash")
    (tmp_path / "rules.yml").write_text(rule_file(RULES))
    wrong = rule_test(RULES, store).replace('"backend": "s1", "severity"', '"backend": "s2", "severity"')
    (tmp_path / "test.yml").write_text(wrong)
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", tmp_path / "test.yml")


def test_scrapes_at_other_distances_are_refused() -> None:
    with pytest.raises(ValueError, match="store has scrapes at other distances"):
        rule_test(RULES, Store([0.0, 5.0, 15.0]))
    with pytest.raises(ValueError, match="store has scrapes at other distances"):
        rule_test(RULES, Store([3.0, 8.0, 13.0]))
