"""Writes what the profile `monitoring` of compose.yaml mounts: `python docker/monitoring.py`, with `--check`
only says whether the files are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from lbkit.alerts import rule_file
from lbkit.live.monitor import alertmanager_config, live_rules, prometheus_config
from lbkit.live.monitor.web import WEBHOOK
from lbkit.metrics.grafana import SOURCE, dashboards, text

FOLDER = Path(__file__).parent / "etc" / "monitoring"
EVERY = 5.0  # seconds between scrapes
# All of these share the network of the proxy, whose admin interface is for loopback only.
ADMIN = "127.0.0.1:9901"
ALERTMANAGER = "127.0.0.1:9093"
RECEIVER = "http://127.0.0.1:9094"
PROMETHEUS = "http://lbkit:9090"  # as Grafana, in a network of its own, sees it
RULES = "/etc/lbkit/rules.yml"
SCALE = 1 / 12  # of the windows of burn rates: the shortest, 25 s, has five scrapes

DATA_SOURCE = f"""apiVersion: 1
datasources:
- name: Prometheus
  uid: {SOURCE["uid"]}
  type: {SOURCE["type"]}
  access: proxy
  url: {PROMETHEUS}
  isDefault: true
  editable: false
  jsonData:
    httpMethod: POST
    timeInterval: {EVERY:g}s
"""
PROVIDER = """apiVersion: 1
providers:
- name: lbkit
  type: file
  allowUiUpdates: false
  disableDeletion: true
  options:
    path: /etc/lbkit/dashboards
"""


def files() -> dict[str, str]:
    """Return the files, by their path within the folder."""
    return {
        "prometheus.yml": prometheus_config([ADMIN], [ALERTMANAGER], [RULES], EVERY),
        "alertmanager.yml": alertmanager_config(RECEIVER + WEBHOOK),
        "rules.yml": rule_file(live_rules(scale=SCALE)),
        "grafana/datasources/lbkit.yml": DATA_SOURCE,
        "grafana/dashboards/lbkit.yml": PROVIDER,
        **{f"dashboards/{name}.json": text(model) for name, model in dashboards().items()},
    }


def main() -> int:
    """Write the files, or check them; return the exit status."""
    stale = [
        name
        for name, new in files().items()
        if not (path := FOLDER / name).exists() or path.read_text(encoding="utf-8") != new
    ]
    if sys.argv[1:] == ["--check"]:
        for name in stale:
            print(f"{FOLDER / name} is not up to date: python docker/monitoring.py")
        return bool(stale)
    for name in stale:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(files()[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
