"""Rules as a file for Prometheus (prometheus.io/docs/prometheus/latest/configuration/alerting_rules)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lbkit.alerts.rule import Rule
from lbkit.metrics.query import lasting


def rule_file(rules: Sequence[Rule], group: str = "lbkit") -> str:
    """Return the rules as YAML. Texts are in quotes, as JSON has them, which is YAML, too."""
    lines = ["groups:", f"- name: {json.dumps(group)}", "  rules:"]
    for rule in rules:
        lines += [
            f"  - alert: {rule.name}",
            f"    expr: {json.dumps(rule.promql())}",
            f"    for: {lasting(rule.lasts)}",
            "    labels:",
            *(f"      {k}: {json.dumps(v)}" for k, v in {"severity": rule.severity, **rule.labels}.items()),
            "    annotations:",
            f"      summary: {json.dumps(rule.summary or rule.name)}",
        ]
    return "\n".join(lines) + "\n"
