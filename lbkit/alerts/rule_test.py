"""A unit test of rules for `promtool test rules`: the metrics of a run, and which alerts fire when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from lbkit.alerts.evaluate import Alert, evaluate
from lbkit.alerts.rule import Rule
from lbkit.metrics.query import lasting
from lbkit.metrics.store import Labels, Store


def rule_test(rules: Sequence[Rule], store: Store, file: str = "rules.yml") -> str:
    """Return the test as YAML: Prometheus has to come to the same alerts as `evaluate`, at every moment at
    which one of them begins or ends, and just before.

    `file`: of the rules, seen from the file of the test. `store`: scraped at equal distances from 0 on.
    Raises ValueError for another store."""
    every = _interval(store)
    return "\n".join(
        [
            f"rule_files: [{json.dumps(file)}]",
            f"evaluation_interval: {lasting(every)}",
            "tests:",
            f"- interval: {lasting(every)}",
            "  input_series:",
            *_series(rules, store),
            "  alert_rule_test:",
            *_expectations(rules, store, every),
            "",
        ]
    )


def _series(rules: Sequence[Rule], store: Store) -> Iterator[str]:
    asked = " ".join(rule.promql() for rule in rules)
    for name, of, values in store:
        if name in asked:
            yield f"  - series: {json.dumps(name + _selector(of))}"
            yield f"    values: {json.dumps(_values(values))}"


def _expectations(rules: Sequence[Rule], store: Store, every: float) -> Iterator[str]:
    fired = [alert for alert in evaluate(rules, store) if alert.fired]
    moments = {at for alert in fired for at in (alert.firing, alert.resolved) if at is not None}
    for at in sorted({max(0.0, t) for moment in moments for t in (moment - every, moment)}):
        for rule in rules:
            firing = [alert for alert in fired if alert.rule is rule and alert.fires_at(at)]
            yield f"  - eval_time: {lasting(at)}"
            yield f"    alertname: {rule.name}"
            yield f"    exp_alerts: {json.dumps([_expected(alert) for alert in firing])}"


def _expected(alert: Alert) -> dict[str, dict[str, str]]:
    rule = alert.rule
    return {
        "exp_labels": {**dict(alert.labels), "severity": rule.severity, **rule.labels},
        "exp_annotations": {"summary": rule.summary or rule.name},
    }


def _interval(store: Store) -> float:
    times = store.times
    every = times[1] - times[0] if len(times) > 1 else 0.0
    if not every or any(abs(at - i * every) > 1e-6 for i, at in enumerate(times)):
        raise ValueError("store has scrapes at other distances: promtool needs them at equal ones, from 0 on")
    return every


def _selector(of: Labels) -> str:
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in of) + "}"


def _values(values: Sequence[float]) -> str:
    """Return values in promtool's form: a value that comes n more times is VxN."""
    runs = ((value, sum(1 for _ in same)) for value, same in groupby(values))
    return " ".join(f"{value!r}" if count == 1 else f"{value!r}x{count - 1}" for value, count in runs)
