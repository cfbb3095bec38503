"""Alerts: rules as data, which are evaluated here as Prometheus does, and written as its rule files."""

from lbkit.alerts.assess import Assessment, Incident, Quality, assess
from lbkit.alerts.evaluate import Alert, evaluate
from lbkit.alerts.injected import INCIDENTS, SERVICE, Injected, incident_runs, month
from lbkit.alerts.presets import burn_rate, few_workers_left, high_error_rate, high_latency, server_down
from lbkit.alerts.rule import Condition, Rule
from lbkit.alerts.rule_file import rule_file
from lbkit.alerts.rule_test import rule_test

__all__ = [
    "INCIDENTS",
    "SERVICE",
    "Alert",
    "Assessment",
    "Condition",
    "Incident",
    "Injected",
    "Quality",
    "Rule",
    "assess",
    "burn_rate",
    "evaluate",
    "few_workers_left",
    "high_error_rate",
    "high_latency",
    "incident_runs",
    "month",
    "rule_file",
    "rule_test",
    "server_down",
]
