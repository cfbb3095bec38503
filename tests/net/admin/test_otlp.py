"""The metrics of a proxy with several workers, as a collector of OpenTelemetry gets them."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from administered import Served, wait_until
from needs import need_feature

need_feature("tracing", "metrics")

from net.admin.test_api import OK, backends
from net.admin.test_exposition import scraped
from prometheus_client.parser import text_string_to_metric_families
from scripted import TIMEOUT, Scripted, answers, nobody_listens
from traced import Collector, attributes

from lbkit.net import ProxyConfig
from lbkit.net.config import ConfigError
from lbkit.net.preflight import notes

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)
ASKED = 12
TRACE = "0af7651916cd43dd8448eb211c80319c"


def metrics(collector: Collector) -> dict[str, Any]:
    """Return the metrics of the last request, by name."""
    (of_resource,) = collector.metrics[-1].resource_metrics
    assert attributes(of_resource.resource)["service.name"] == "lbkit"
    return {metric.name: metric for scope in of_resource.scope_metrics for metric in scope.metrics}


def requests(collector: Collector) -> int:
    """Return the sum of the requests that are answered 2xx."""
    if not collector.metrics:
        return 0
    points = metrics(collector)["lbkit_requests_total"].sum.data_points
    return sum(int(p.as_double or p.as_int) for p in points if attributes(p)["code"] == "2xx")


def test_a_collector_gets_what_prometheus_gets(tmp_path: Path) -> None:
    backend = Scripted(answers(OK))
    with Collector() as collector:
        more = f'otlp = "{collector.url("/v1/metrics")}", otlp_interval = 0.2'
        text = "workers = 2\ntracing = {}\n" + backends(backend.port)
        with Served(tmp_path, text, more) as proxy:
            for _ in range(ASKED):
                connection = HTTPConnection(proxy.host, proxy.port, timeout=TIMEOUT)
                connection.request("GET", "/", headers={"traceparent": f"00-{TRACE}-{'1' * 16}-01"})
                assert connection.getresponse().status == 200
                connection.close()
            wait_until(lambda: requests(collector) == ASKED)
            exposed = {
                family.name.removesuffix("_total"): family.type
                for family in text_string_to_metric_families(scraped(proxy)[0])
                if family.samples
            }
    backend.close()
    resources = {sent.resource_metrics[0].resource.SerializeToString() for sent in collector.metrics}
    assert len(resources) == 1  # else every push would begin new series
    found = metrics(collector)
    kinds = {"sum": "counter", "gauge": "gauge", "histogram": "histogram"}
    assert {
        name.removesuffix("_total"): kinds[metric.WhichOneof("data")] for name, metric in found.items()
    } == exposed
    requested = found["lbkit_requests_total"].sum
    assert requested.is_monotonic
    assert (
        requested.aggregation_temporality
        == requested.DESCRIPTOR.file.enum_types_by_name["AggregationTemporality"]
        .values_by_name["AGGREGATION_TEMPORALITY_CUMULATIVE"]
        .number
    )
    duration = found["lbkit_request_duration_seconds"]
    assert duration.unit == "s"
    (of_web1,) = [p for p in duration.histogram.data_points if attributes(p)["backend"] == "web1"]
    assert of_web1.count == sum(of_web1.bucket_counts) == ASKED
    assert len(of_web1.bucket_counts) == len(of_web1.explicit_bounds) + 1
    assert of_web1.sum > 0
    assert of_web1.start_time_unix_nano < of_web1.time_unix_nano
    assert {exemplar.trace_id.hex() for exemplar in of_web1.exemplars} == {TRACE}


def test_a_collector_that_is_away_is_said_once(tmp_path: Path) -> None:
    backend = Scripted(answers(OK))
    with nobody_listens() as port:
        more = f'otlp = "http://127.0.0.1:{port}/v1/metrics", otlp_interval = 0.05'
        with Served(tmp_path, backends(backend.port), more) as proxy:
            proxy.wait_for("metrics cannot be sent")
            assert proxy.ask() == 200
    backend.close()
    assert sum("metrics cannot be sent" in line for line in proxy.said) == 1


def config(**admin: Any) -> ProxyConfig:
    return ProxyConfig.from_dict(
        {"backends": [{"address": "127.0.0.1:9001"}], "admin": {"listen": "127.0.0.1:0", **admin}}
    )


def test_a_check_says_that_nobody_listens() -> None:
    with nobody_listens() as port:
        found = notes(config(otlp=f"http://127.0.0.1:{port}/v1/metrics"), 1)
    (said,) = [line for line in found if "otlp" in line]
    assert said.startswith(f"admin.otlp: cannot connect to 127.0.0.1:{port}: ")
    assert said.endswith("until it answers, metrics are not sent")


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(ConfigError, match=r"admin\.otlp is 'collector': use a URL .*/v1/metrics"):
        config(otlp="collector")
    with pytest.raises(ConfigError, match=r"admin\.otlp_interval"):
        config(otlp_interval=0)
