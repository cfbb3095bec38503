"""Prometheus and Alertmanager beside a running proxy, with everything configured: `lbkit monitor`."""

from lbkit.live.monitor.config import alertmanager_config, live_rules, prometheus_config
from lbkit.live.monitor.monitor import Monitor
from lbkit.live.monitor.notices import Notice
from lbkit.live.monitor.prometheus_api import PrometheusApi

__all__ = [
    "Monitor",
    "Notice",
    "PrometheusApi",
    "alertmanager_config",
    "live_rules",
    "prometheus_config",
]
