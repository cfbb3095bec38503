"""Prometheus, Alertmanager and a page, started together beside a running proxy, and stopped together."""

from __future__ import annotations

import html
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import isfinite
from typing import Any, Self

from lbkit.alerts import Rule, rule_file
from lbkit.core.options import number
from lbkit.live.monitor.config import (
    LEAST,
    RULES,
    alertmanager_config,
    check_windows,
    live_rules,
    prometheus_config,
)
from lbkit.live.monitor.notices import Notice, Notices
from lbkit.live.monitor.programs import Alertmanager, Monitoring, Prometheus
from lbkit.live.monitor.prometheus_api import PrometheusApi
from lbkit.live.monitor.web import WEBHOOK, Web
from lbkit.metrics.panels import legend, panels
from lbkit.metrics.store import Store
from lbkit.needs import why_not
from lbkit.net.address import split_address
from lbkit.run import EngineError
from lbkit.started import Started

ADMIN = "127.0.0.1:9901"
TIMEOUT = 5.0  # seconds for the proxy's answer
POINTS = 240  # of a line on the page, about
SHORTEST = 30.0  # seconds that the page shows at least
LOOK = 0.5  # seconds between looks whether the programs run


class Monitor(Started):
    """Watches a proxy: a Prometheus scrapes it and evaluates rules, an Alertmanager tells `notices`.

    All of it listens on 127.0.0.1 only, and its data is gone after `stop`. `url` is the page with the panels
    of `lbkit.metrics.panels`, `api` asks Prometheus.
    """

    def __init__(
        self,
        admin: str = ADMIN,
        rules: Sequence[Rule] | None = None,
        *,
        every: float = 2.0,
        port: int = 0,
        on_notice: Callable[[Notice], object] | None = None,
    ) -> None:
        """`admin`: host:port of the proxy's `[admin] listen`. `rules`: `live_rules()`, if None. `every`:
        seconds between scrapes, and between evaluations. `port`: of the page; 0 is any free one.
        `on_notice` is called, in another thread, with each alert that fires or ends.

        Raises ValueError for a wrong address, an interval below 0.1 s, or one too long for a rule."""
        split_address(admin, "admin")
        number(LEAST, every=every)
        self.admin = admin
        self.rules = list(live_rules(every=every) if rules is None else rules)
        check_windows(self.rules, every)
        self.every = every
        self.port = port
        self.on_notice = on_notice
        self.panels = panels(max(10.0, 5 * every))
        self._told = Notices()
        self._lock = threading.Lock()
        self._parts: ExitStack | None = None
        self._programs: list[Monitoring] = []
        self._since = 0.0  # since 1970, when all of it had started
        self.url = self.prometheus_url = self.alertmanager_url = ""

    @property
    def api(self) -> PrometheusApi:
        return PrometheusApi(self.prometheus_url)

    @property
    def notices(self) -> list[Notice]:
        """What Alertmanager has told so far, in order."""
        return list(self._told.all)

    def store(self, last: float = 300.0) -> Store:
        """Return what was scraped in the `last` seconds, for `lbkit.alerts.evaluate` and queries."""
        return self.api.store(last)

    # -- life -------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Return when all of it serves. Raises EngineError if a program is missing or does not start, the
        page's port is taken, or no proxy answers."""
        if reason := why_not("monitor"):
            raise EngineError(reason)
        check_proxy(self.admin)
        with ExitStack() as parts:
            web = Web(self.port, self._take, self.data)
            parts.callback(web.close)
            text = alertmanager_config(f"{web.url}{WEBHOOK}")
            alertmanager = parts.enter_context(Alertmanager({"alertmanager.yml": text}))
            text = prometheus_config([self.admin], [alertmanager.address], every=self.every)
            files = {"prometheus.yml": text, RULES: rule_file(self.rules)}
            prometheus = parts.enter_context(Prometheus(files))
            self._programs = [prometheus, alertmanager]
            self.url, self.prometheus_url, self.alertmanager_url = web.url, prometheus.url, alertmanager.url
            self._since = time.time()
            self._parts = parts.pop_all()
        return self

    def stop(self) -> None:
        parts, self._parts = self._parts, None
        if parts:
            parts.close()

    def wait(self) -> None:
        """Wait until a program ends by itself, which raises EngineError, or for an interrupt."""
        while all(program.running for program in self._programs):
            time.sleep(LOOK)
        ended = next(program for program in self._programs if not program.running)
        raise EngineError(f"{ended.program} has ended: {ended.last_words()}")

    def _take(self, message: Any) -> None:
        with self._lock:  # Alertmanager sends groups side by side
            news = self._told.take(message)
            for notice in news if self.on_notice else ():
                self.on_notice(notice)  # type: ignore[misc] # mypy forgets the condition

    # -- the page ---------------------------------------------------------------------------------

    def data(self, minutes: float = 5.0) -> dict[str, Any]:
        """Return what the page shows: the panels' lines over the last minutes, rules and notices."""
        end = time.time()
        start = max(end - 60 * minutes, min(self._since, end - SHORTEST))
        step = max(self.every, (end - start) / POINTS)
        api = self.api

        def lines(panel: Any) -> list[dict[str, Any]]:
            return [
                {
                    "name": legend(line.legend, dict(of)),
                    "backend": dict(of).get("backend", ""),
                    "points": [point for point in points if isfinite(point[1])],
                }
                for line in panel.lines
                for of, points in sorted(api.query_range(line.query.promql(), start, end, step).items())
            ]

        return {
            "admin": self.admin,
            "start": start,
            "end": end,
            "step": step,
            "every": self.every,
            "prometheus": self.prometheus_url,
            "rules": [
                {"name": rule["name"], "state": rule["state"], "summary": rule["annotations"]["summary"]}
                for rule in api.rules()
            ],
            "notices": [notice.to_dict() for notice in self.notices[-200:]],
            "panels": [
                {**{k: getattr(panel, k) for k in ("title", "unit", "group", "help")}, "lines": lines(panel)}
                for panel in self.panels
            ],
        }

    def _repr_html_(self) -> str:
        links = {"panels": self.url, "Prometheus": self.prometheus_url}
        shown = (f'<a href="{url}" target="_blank">{name}</a>' for name, url in links.items() if url)
        return f"Monitor of {html.escape(self.admin)}: {', '.join(shown) or 'not started'}"


def check_proxy(admin: str) -> None:
    """Raise EngineError unless a proxy has metrics at its admin address."""
    url = f"http://{admin}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            fine = b"lbkit_" in answer.read()
    except urllib.error.HTTPError as error:
        with error:
            why = _error(error.read()) or f"status {error.code}"
        raise EngineError(f"{url}: {why}") from None
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
        raise EngineError(
            f"no proxy answers on {url} ({why}): start one with `lbkit proxy`, and [admin] in its file"
        ) from None
    if not fine:
        raise EngineError(f"{url} has no metrics of lbkit: use the address of [admin] in the proxy's file")


def _error(body: bytes) -> str:
    """Return the reason in an answer of the admin interface; empty if it is none."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
