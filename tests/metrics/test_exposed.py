from __future__ import annotations

import pytest
from needs import need_module

need_module("prometheus_client")

from lbkit.metrics import Rolling, Sum, Value, read_exposition
from lbkit.metrics.store import labels

TEXT = """\
# HELP lbkit_requests_total Requests that ended.
# TYPE lbkit_requests_total counter
lbkit_requests_total{backend="s1",code="2xx"} 157.0
lbkit_requests_total{backend="s2",code="5xx"} 3.0
# HELP lbkit_request_duration_seconds From request to answer.
# TYPE lbkit_request_duration_seconds histogram
lbkit_request_duration_seconds_bucket{backend="s1",le="0.1"} 150.0
lbkit_request_duration_seconds_bucket{backend="s1",le="+Inf"} 157.0
lbkit_request_duration_seconds_count{backend="s1"} 157.0
lbkit_request_duration_seconds_sum{backend="s1"} 9.5
# TYPE lbkit_workers gauge
lbkit_workers 2.0
"""


def test_each_series_has_its_name_labels_and_value() -> None:
    found = read_exposition(TEXT)
    assert found["lbkit_requests_total"] == {
        labels(backend="s1", code="2xx"): 157,
        labels(backend="s2", code="5xx"): 3,
    }
    assert found["lbkit_request_duration_seconds_bucket"][labels(backend="s1", le="+Inf")] == 157
    assert found["lbkit_request_duration_seconds_sum"] == {labels(backend="s1"): 9.5}
    assert found["lbkit_workers"] == {(): 2}


def test_queries_ask_a_store_of_scrapes() -> None:
    store = Rolling(keep=10)
    store.scrape(1.0, read_exposition(TEXT))
    assert Sum(Value("lbkit_requests_total")).at(store, 1.0) == {(): 160}


def test_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        read_exposition("<html>not found</html>")
