"""Exemplars: a request whose trace is recorded, for the buckets of the latencies."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from administered import Served, wait_until
from fronts import free_port, running
from needs import need, need_feature

need_feature("metrics")

from net.admin.test_api import OK, backends
from net.admin.test_exposition import scraped
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from scripted import TIMEOUT, Scripted, answers

from lbkit.metrics.names import BOUNDS
from lbkit.net.tracing.context import Context
from lbkit.net.tracing.exemplars import MOST_BACKENDS, Exemplars, latest

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DURATION = "lbkit_request_duration_seconds"
WORKERS = 2
LABELS = 128  # characters of an exemplar's labels at most (OpenMetrics 1.0, "Exemplars")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    backend = Scripted(answers(OK))
    text = f"workers = {WORKERS}\ntracing = {{ sample = 0.0 }}\n" + backends(backend.port)
    with Served(tmp_path_factory.mktemp("exemplars"), text) as served:
        yield served
    backend.close()


def ask(proxy: Served, trace_id: str, sampled: bool = True) -> None:
    connection = HTTPConnection(proxy.host, proxy.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/", headers={"traceparent": f"00-{trace_id}-{'1' * 16}-0{sampled:d}"})
        assert connection.getresponse().status == 200
    finally:
        connection.close()


def buckets(proxy: Served) -> list[Sample]:
    text, content_type = scraped(proxy, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    return [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{DURATION}_bucket"
    ]


def ids(number: int) -> list[str]:
    return [f"{i + 1:032x}" for i in range(number)]


def test_buckets_have_the_trace_of_a_recorded_request(proxy: Served) -> None:
    for trace_id in ids(20):
        ask(proxy, trace_id)
    ask(proxy, "f" * 32, sampled=False)
    bounds = [0.0, *BOUNDS, float("inf")]
    found = [sample for sample in buckets(proxy) if sample.exemplar]
    assert found
    for sample in found:
        exemplar = sample.exemplar
        assert exemplar
        assert exemplar.labels["trace_id"] in ids(20)
        assert len(exemplar.labels["span_id"]) == 16
        assert sum(map(len, [*exemplar.labels, *exemplar.labels.values()])) <= LABELS
        upper = float(sample.labels["le"])
        assert bounds[bounds.index(upper) - 1] < exemplar.value <= upper
        assert exemplar.timestamp
        assert abs(time.time() - float(exemplar.timestamp)) < 2 * TIMEOUT
        assert sample.labels["backend"] == "web1"


def test_the_text_format_has_none(proxy: Served) -> None:
    ask(proxy, ids(1)[0])
    text, _ = scraped(proxy)
    assert "trace_id" not in text


@pytest.mark.live
def test_prometheus_keeps_them(proxy: Served, tmp_path: Path) -> None:
    program, port = need("prometheus"), free_port()
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
                "scrape_configs": [
                    {"job_name": "lbkit", "static_configs": [{"targets": [f"127.0.0.1:{proxy.admin}"]}]}
                ],
            }
        )
    )
    command = [
        program,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=error",
    ]
    started = time.time()
    for trace_id in ids(5):
        ask(proxy, trace_id)

    def exemplars() -> list[dict[str, Any]]:
        window = urlencode({"query": f"{DURATION}_bucket", "start": started - 60, "end": time.time() + 60})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query_exemplars?{window}") as answer:
            series = json.load(answer)["data"]
        return [one for of_series in series for one in of_series["exemplars"]]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=TIMEOUT):
                return True
        except urllib.error.HTTPError as starting:
            starting.close()
            return False

    with running(command, port):
        wait_until(ready)
        found = wait_until(exemplars)
    assert {one["labels"]["trace_id"] for one in found} <= set(ids(20))
    assert all(float(one["value"]) > 0 for one in found)


# -- the parts --------------------------------------------------------------------------------------


def test_of_several_processes_the_latest_counts() -> None:
    a, b = Exemplars(), Exemplars()
    one, two = (Context(trace_id, "1" * 16, True) for trace_id in ids(2))
    a.add("web1", 0.004, one)
    b.add("web1", 0.003, two)
    b.add("web1", 20.0, two)
    reports = [json.loads(json.dumps({"exemplars": part.report()})) for part in (b, a)]
    reports[1]["exemplars"]["web1"][0][4] += 100
    assert {number: found.trace_id for number, found in latest(reports)["web1"].items()} == {
        2: ids(1)[0],
        len(BOUNDS): ids(2)[1],
    }
    assert latest([{}]) == {}


def test_they_are_bounded() -> None:
    found = Exemplars()
    context = Context("1" * 32, "1" * 16, True)
    for number in range(MOST_BACKENDS + 10):
        for bound in (*BOUNDS, 100.0):
            found.add(f"b{number}", bound, context)
            found.add(f"b{number}", bound, context)
    report = found.report()
    assert len(report) == MOST_BACKENDS
    assert {len(rows) for rows in report.values()} == {len(BOUNDS) + 1}
