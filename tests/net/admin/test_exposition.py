"""The metrics of a proxy with several workers, as Prometheus reads them."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from administered import Served
from needs import need
from net.admin.test_api import BROKEN, OK, RULES, backends
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from scripted import Scripted, answers

from lbkit.metrics import METRICS
from lbkit.metrics.names import OF_BACKENDS, OF_THE_PROXY

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)
ASKED = 20


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    good, bad = Scripted(answers(OK)), Scripted(answers(BROKEN))
    text = RULES + backends(good.port, bad.port) + "\nworkers = 8"  # of web2
    with Served(tmp_path_factory.mktemp("metrics"), text) as served:
        for _ in range(ASKED):
            served.ask()
        yield served
    good.close()
    bad.close()


def scraped(proxy: Served, accept: str = "text/plain") -> tuple[str, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{proxy.admin}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def values(text: str, name: str, **labels: str) -> dict[str, float]:
    """Return the values of a series by backend, or "" without one."""
    return {
        sample.labels.get("backend", ""): sample.value
        for family in prometheus(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


def test_the_counts_of_all_workers_add_up(proxy: Served) -> None:
    text, content_type = scraped(proxy)
    assert content_type.startswith("text/plain; version=")
    answered = (
        values(text, "lbkit_requests_total", code="2xx"),
        values(text, "lbkit_requests_total", code="5xx"),
    )
    assert sum(answered[0].values()) + sum(answered[1].values()) == ASKED
    assert answered[0]["web1"] > 0
    assert answered[1]["web2"] > 0
    assert values(text, "lbkit_workers") == {"": 2}
    assert values(text, "lbkit_client_connections_total")[""] >= 1
    assert values(text, "lbkit_cpu_seconds_total")[""] > 0.05
    assert values(text, "lbkit_memory_bytes")[""] > 2e7


def test_a_histogram_has_successes_and_grows_towards_infinity(proxy: Served) -> None:
    text, _ = scraped(proxy)
    for name in ("lbkit_request_duration_seconds", "lbkit_first_byte_duration_seconds"):
        count = values(text, f"{name}_count")
        assert count["web1"] == values(text, "lbkit_requests_total", code="2xx")["web1"]
        assert count["web2"] == 0
        assert values(text, f"{name}_bucket", le="+Inf") == count
        assert 0 < values(text, f"{name}_sum")["web1"] < 20 * ASKED
    at_bounds = [
        values(text, "lbkit_request_duration_seconds_bucket", le=le) for le in ("0.001", "0.1", "10.0")
    ]
    found = [upto["web1"] for upto in at_bounds if upto]
    assert found == sorted(found)


def test_every_metric_of_the_list_is_there_and_no_other(proxy: Served) -> None:
    text, _ = scraped(proxy)
    found = {family.name for family in prometheus(text)}
    listed = {metric.name.removesuffix("_total") for metric in (*OF_BACKENDS, *OF_THE_PROXY)}
    assert {name.removesuffix("_total") for name in found} == listed
    assert listed <= {name.removesuffix("_total") for name in METRICS}


def test_states_are_gauges(proxy: Served) -> None:
    proxy.change("PATCH", "/api/backends/web1", {"intent": "drain"})
    text, _ = scraped(proxy)
    assert values(text, "lbkit_backend_up") == {"web1": 0, "web2": 1}
    proxy.change("PATCH", "/api/backends/web1", {"intent": "ready"})
    proxy.change("PATCH", "/api/backends/web2", {"intent": "drain"})
    text, _ = scraped(proxy)
    assert values(text, "lbkit_backend_workers") == {"web2": 0}
    proxy.change("PATCH", "/api/backends/web2", {"intent": "ready"})
    text, _ = scraped(proxy)
    assert values(text, "lbkit_backend_workers") == {"web2": 8}  # once, not for each process
    assert values(text, "lbkit_backend_up") == {"web1": 1, "web2": 1}
    assert values(text, "lbkit_backend_weight") == {"web1": 1, "web2": 1}


def test_openmetrics_is_written_where_it_is_asked_for(proxy: Served) -> None:
    text, content_type = scraped(proxy, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert {family.name for family in openmetrics(text)}


def test_promtool_finds_nothing_wrong_with_the_names(proxy: Served) -> None:
    done = subprocess.run(
        [need("promtool"), "check", "metrics"],
        input=scraped(proxy)[0],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_metrics_are_read_only(proxy: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics", data=b"", timeout=10)
    assert refused.value.code in (401, 405)
    refused.value.close()
