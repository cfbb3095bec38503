"""Prometheus' HTTP API (prometheus.io/docs/prometheus/latest/querying/api), and its series as a Store."""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from lbkit.core.options import number
from lbkit.metrics.store import Labels, Store
from lbkit.run import EngineError

TIMEOUT = 10.0  # seconds for an answer
Points = list[tuple[float, float]]  # time since 1970, and value


class PrometheusApi:
    """Asks a Prometheus. Its methods raise EngineError where it does not answer, or refuses a query."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def query(self, promql: str, at: float | None = None) -> dict[Labels, float]:
        """Return the values at a time, by labels; now, if None."""
        found = self.get("query", query=promql, **({} if at is None else {"time": at}))
        return {_labels(row): float(row["value"][1]) for row in found["result"]}

    def query_range(self, promql: str, start: float, end: float, step: float) -> dict[Labels, Points]:
        """Return the values each `step` seconds from start to end, by labels. nan and infinity are among
        them."""
        found = self.get("query_range", query=promql, start=start, end=end, step=step)
        return {_labels(row): _points(row) for row in found["result"]}

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerting rules: name, state (inactive, pending, firing), labels, annotations, alerts."""
        return [rule for group in self.get("rules", type="alert")["groups"] for rule in group["rules"]]

    def store(self, last: float = 300.0, end: float | None = None, names: str = "lbkit_.+|up") -> Store:
        """Return what was scraped in the `last` seconds before `end` (now, if None), times since 1970.

        `names`: a regular expression. A series that begins later, or is not in a scrape, has its nearest
        value before, or else its first one: a counter does not grow there. Raises ValueError for a `last`
        that is not above 0."""
        number(0, above=True, last=last)
        promql = f"{{__name__=~{json.dumps(names)}}}[{round(last * 1000)}ms]"
        found = self.get("query", query=promql, time=time.time() if end is None else end)["result"]
        series = [(_labels(row), _points(row)) for row in found]
        times = sorted({at for _, points in series for at, _ in points})
        store = Store(times)
        for of, points in series:
            plain = dict(of)
            store.add(plain.pop("__name__"), tuple(plain.items()), _filled(points, times))
        return store

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the data of an answer of /api/v1/PATH."""
        url = f"{self.url}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                why = error.read().decode(errors="replace")[:500]
            raise EngineError(f"Prometheus refused {parameters.get('query', path)}: {why}") from None
        except OSError as error:
            raise EngineError(f"Prometheus on {self.url} does not answer: {error}") from None


def _labels(row: Any) -> Labels:
    return tuple(sorted(row["metric"].items()))


def _points(row: Any) -> Points:
    return [(float(at), float(value)) for at, value in row["values"]]


def _filled(points: Iterable[tuple[float, float]], times: Sequence[float]) -> list[float]:
    known = dict(points)
    value = next(iter(known.values()), math.nan)
    return [value := known.get(at, value) for at in times]
