"""What Alertmanager tells a webhook, as one notice for each alert that begins or ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MOST = 10_000  # notices that are kept
OWN = ("alertname", "severity", "instance", "job")  # labels that say nothing new about one proxy


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert fires, or has ended. Times are in seconds since 1970; `received`: when it reached us."""

    name: str
    firing: bool
    severity: str
    labels: Mapping[str, str]
    summary: str
    since: float
    until: float | None
    received: float

    def __str__(self) -> str:
        """The line that `lbkit monitor` prints."""
        at = time.strftime("%H:%M:%S", time.localtime(self.received))
        about = "".join(f" {k}={v}" for k, v in self.labels.items() if k not in OWN)
        said = f"{at}  {'FIRING' if self.firing else 'ended':6}  {self.severity:6}  {self.name}{about}: "
        return said + self.summary + ("" if self.until is None else f" ({self.until - self.since:.0f} s)")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "firing": self.firing,
            "severity": self.severity,
            "labels": {k: v for k, v in self.labels.items() if k not in OWN},
            "summary": self.summary,
            "since": self.since,
            "until": self.until,
            "received": self.received,
        }


class Notices:
    """The notices so far. A group of alerts is sent whole when one of them changes: what is known already
    is no news."""

    def __init__(self) -> None:
        self.all: deque[Notice] = deque(maxlen=MOST)
        self._known: dict[str, tuple[str, str]] = {}  # by series: when its alert began, and its state

    def take(self, message: Mapping[str, Any]) -> list[Notice]:
        """Return what is new in a webhook's message. Raises ValueError for one that is not Alertmanager's
        (prometheus.io/docs/alerting/latest/configuration, webhook_config)."""
        try:
            news = list(self._news(message))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no message of an Alertmanager: {error!r}") from None
        self.all.extend(news)
        return news

    def _news(self, message: Mapping[str, Any]) -> Iterator[Notice]:
        for alert in message["alerts"]:
            told = (alert["startsAt"], alert["status"])
            if self._known.get(alert["fingerprint"]) == told:
                continue
            self._known[alert["fingerprint"]] = told
            labels = alert["labels"]
            firing = alert["status"] == "firing"
            yield Notice(
                labels["alertname"],
                firing,
                labels.get("severity", ""),
                labels,
                alert.get("annotations", {}).get("summary", ""),
                seconds(alert["startsAt"]),
                None if firing else seconds(alert["endsAt"]),
                time.time(),
            )


def seconds(text: str) -> float:
    """Return an RFC 3339 time in seconds since 1970. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
