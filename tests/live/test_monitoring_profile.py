"""The profile `monitoring` of docker/compose.yaml: what it mounts, and that an alert comes through.

Grafana is started only where its image can be pulled; the tests of its files are in tests/metrics.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts.incidents import store_of
from alerts.test_promtool import promtool
from composed import FOLDER, Compose
from needs import need, need_feature, need_module

need_feature("live", "metrics")
need_module("yaml", "pyyaml")

import yaml

from lbkit.alerts import rule_test
from lbkit.live.monitor import PrometheusApi, live_rules
from lbkit.metrics import Value
from lbkit.metrics.grafana import dashboards
from lbkit.metrics.names import OF_RUNS, metric_of
from lbkit.run import EngineError

FILES = FOLDER / "etc" / "monitoring"
SERVICES = ("prometheus", "alertmanager", "alerts", "grafana")


@pytest.fixture(scope="module")
def compose_file() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]  # type: ignore[no-any-return]


# -- the files -------------------------------------------------------------------------------------------


def test_the_files_are_up_to_date() -> None:
    command = [sys.executable, FOLDER / "monitoring.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    config = (FILES / "prometheus.yml").read_text()
    assert "/etc/lbkit/" in config
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/lbkit", str(FILES)))
    said = promtool("check", "config", tmp_path / "prometheus.yml")
    assert "1 rule files found" in said


def test_alertmanager_accepts_its_configuration() -> None:
    command = [need("amtool"), "check-config", FILES / "alertmanager.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 receivers" in done.stdout


@pytest.mark.parametrize("incident", ["errors", "a crash"])
def test_the_rules_fire_in_prometheus_as_in_the_simulator(tmp_path: Path, incident: str) -> None:
    """Of the file as it is, those rules that are about what a run knows."""
    rules = [
        rule
        for rule in live_rules(scale=1 / 12)
        if all(_of_runs(name) for condition in rule.conditions for name in condition.query.series)
    ]
    assert {"ServerDown", "HighErrorRate", "BurnRate6x"} <= {rule.name for rule in rules}
    test = rule_test(rules, store_of(incident), str(FILES / "rules.yml"))
    assert "exp_alerts: [{" in test
    (tmp_path / "test.yml").write_text(test)
    promtool("test", "rules", tmp_path / "test.yml")


def _of_runs(name: str) -> bool:
    return name != "up" and metric_of(name) in OF_RUNS


def test_grafana_finds_its_source_and_its_dashboards(compose_file: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((FILES / "grafana/datasources/lbkit.yml").read_text())["datasources"]
    assert source.keys() >= {"name", "type", "access", "uid", "url"}  # the first three are required
    used = {panel["datasource"]["uid"] for model in dashboards().values() for panel in model["panels"]}
    assert used == {source["uid"]}
    assert source["jsonData"]["timeInterval"] == "5s"
    assert "scrape_interval: 5s" in (FILES / "prometheus.yml").read_text()
    (provider,) = yaml.safe_load((FILES / "grafana/dashboards/lbkit.yml").read_text())["providers"]
    mounted = dict(volume.split(":")[1::-1] for volume in compose_file["grafana"]["volumes"])
    assert provider["type"] == "file"
    assert (FOLDER / mounted[provider["options"]["path"]]).samefile(FILES / "dashboards")
    home = compose_file["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (FILES / "dashboards" / Path(home).name).exists()
    assert Path(home).parent == Path(provider["options"]["path"])


def test_services_are_pinned_bounded_and_on_loopback_only(compose_file: dict[str, Any]) -> None:
    for name in SERVICES:
        service = compose_file[name]
        assert service["profiles"] == ["monitoring"]
        assert re.search(r":v?\d+\.\d+\.\d+}$", service["image"]), "a pinned tag"
        assert re.fullmatch(r"\d+m", service["mem_limit"])
        assert service["cap_drop"] == ["ALL"]
    ports = [port for service in compose_file.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = re.findall(r"\$\{(\w+)_PORT:-(\d+)\}", " ".join(ports))
    assert {"PROMETHEUS", "ALERTMANAGER", "GRAFANA"} <= {name for name, _ in published}
    assert len({port for _, port in published}) == len(published)


# -- the containers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    compose = Compose("monitoring")
    chosen = [name for name in SERVICES if name != "grafana" or not compose.base]  # Debian has no Grafana
    try:
        compose("up", "-d", "--build", "lbkit", *chosen)
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "1")


def until(compose: Compose, seconds: float, what: Any) -> Any:
    """Send requests until `what` returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := what()):
        compose.get("lbkit")
        assert time.monotonic() < end, compose("ps") + compose("logs", "--tail", "20")
        time.sleep(0.2)
    return found


@pytest.mark.container
def test_metrics_come_to_prometheus_and_an_alert_to_the_webhook(compose: Compose) -> None:
    api = PrometheusApi(compose.url("prometheus"))

    def asked(promql: str) -> dict[Any, float]:
        try:
            return api.query(promql)
        except EngineError:
            return {}  # it is not up yet

    answered = Value("lbkit_requests_total", {"code": "2xx"}).promql()
    until(compose, 120, lambda: sum(asked(f"increase({answered}[20s])").values()) > 0)
    ups = asked("lbkit_backend_up")
    assert {dict(of)["backend"].partition(":")[0] for of in ups} >= {"slow"}
    assert set(ups.values()) == {1.0}
    empty = [
        target["expr"]
        for model in dashboards().values()
        for panel in model["panels"]
        for target in panel["targets"]
        if not asked(target["expr"].replace("$__rate_interval", "20s").replace("$backend", ".*"))
    ]
    assert all("_waiting_" in expr or "_service_" in expr for expr in empty)  # a proxy does not know these

    compose("stop", "--timeout", "1", "backend", "slow")
    said = until(compose, 120, lambda: re.search(r"FIRING .*HighErrorRate.*", compose("logs", "alerts")))
    assert "of the requests fail" in said[0]
