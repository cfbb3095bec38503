from __future__ import annotations

import pytest
from alerts.incidents import BAD_FROM, BAD_UNTIL, END, store_of

from lbkit.alerts import evaluate, server_down
from lbkit.metrics import Rate, Store, Sum, Value, joined
from lbkit.metrics.store import labels


def test_counters_go_on_and_gauges_do_not_add_up() -> None:
    def part(*served: float) -> Store:
        made = Store([0, 5, 10])
        made.add("lbkit_requests_total", labels(), served)
        made.add("lbkit_request_duration_seconds_sum", labels(), served)
        made.add("lbkit_backend_up", labels(), [1, 0, 1])
        return made

    whole = joined([part(0, 3, 4), part(0, 1, 2), part(0, 0, 7)])
    assert list(whole.times) == [0, 5, 10, 15, 20, 25, 30]
    found = {name: list(values) for name, _, values in whole}
    assert found["lbkit_requests_total"] == [0, 3, 4, 5, 6, 6, 13]
    assert found["lbkit_request_duration_seconds_sum"] == [0, 3, 4, 5, 6, 6, 13]
    assert found["lbkit_backend_up"] == [1, 0, 1, 0, 1, 0, 1]


def test_runs_after_each_other_have_all_requests_and_the_same_alerts() -> None:
    runs = [store_of("quiet"), store_of("a crash"), store_of("quiet")]
    whole = joined(runs)
    assert whole.times[-1] == pytest.approx(sum(run.times[-1] for run in runs))
    total = Sum(Value("lbkit_requests_total"))
    apart = sum(total.at(run, run.times[-1])[()] for run in runs)
    assert total.at(whole, whole.times[-1]) == {(): apart}
    (alert,) = evaluate([server_down()], whole)
    began = runs[0].times[-1]
    assert began + BAD_FROM < alert.pending < began + BAD_UNTIL


def test_nothing_restarts_where_runs_meet() -> None:
    whole = joined([store_of("quiet"), store_of("quiet")])
    rate = Sum(Rate("lbkit_requests_total", 60))
    (usual,) = rate.at(whole, END - 60).values()
    (where_they_meet,) = rate.at(whole, END + 30).values()
    assert where_they_meet == pytest.approx(usual, rel=0.5)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="stores are none"):
        joined([])
    other = Store([0, 5])
    other.add("lbkit_backend_up", labels(backend="s9"), [1, 1])
    with pytest.raises(ValueError, match="different series"):
        joined([store_of("quiet"), other])
