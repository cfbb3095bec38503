from __future__ import annotations

from typing import Any

import pytest

from lbkit.live.monitor.notices import Notices


def alert(status: str, backend: str = "s1") -> dict[str, Any]:
    """Return an alert as Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": "ServerDown", "severity": "page", "job": "lbkit", "backend": backend},
        "annotations": {"summary": "a server is out of service"},
        "startsAt": "2026-01-02T03:04:05.678901234Z",
        "endsAt": "2026-01-02T03:05:00.1Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": backend,
    }


def test_a_group_that_is_sent_again_is_no_news() -> None:
    notices = Notices()
    (first,) = notices.take({"alerts": [alert("firing")]})
    assert (first.name, first.firing, first.severity, first.until) == ("ServerDown", True, "page", None)
    assert str(first).endswith("FIRING  page    ServerDown backend=s1: a server is out of service")
    (second,) = notices.take({"alerts": [alert("firing"), alert("firing", "s2")]})
    assert second.labels["backend"] == "s2"
    (ended,) = notices.take({"alerts": [alert("resolved"), alert("firing", "s2")]})
    assert not ended.firing
    assert ended.until is not None
    assert ended.until - ended.since == pytest.approx(54.421, abs=0.01)
    assert "ended " in str(ended)
    assert str(ended).endswith("(54 s)")
    assert list(notices.all) == [first, second, ended]
    assert ended.to_dict()["labels"] == {"backend": "s1"}


@pytest.mark.parametrize(
    "message", [{}, [], {"alerts": [{}]}, {"alerts": [{**alert("firing"), "startsAt": "x"}]}]
)
def test_what_is_no_message_of_an_alertmanager_is_refused(message: Any) -> None:
    notices = Notices()
    with pytest.raises(ValueError, match="no message of an Alertmanager"):
        notices.take(message)
    assert not notices.all
