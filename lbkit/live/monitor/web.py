"""A small web server on loopback: Alertmanager's webhook, and the page with the panels."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from math import isnan
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lbkit.run import EngineError

WEBHOOK = "/alerts"
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
JSON = "application/json"
LARGEST = 1 << 22  # bytes of a message
MINUTES = (1.0, 1440.0)  # that a page may show
# A page elsewhere could have its own name resolve to 127.0.0.1.
HERE = re.compile(r"(localhost|127\.0\.0\.1)(:\d{1,5})?", re.IGNORECASE)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Web:
    """Calls `on_message` with each message to the webhook, and `data` with the minutes that a page shows."""

    def __init__(
        self, port: int, on_message: Callable[[Any], object], data: Callable[[float], object]
    ) -> None:
        """`port`: 0 is any free one. Raises EngineError if the port is taken."""
        self.on_message = on_message
        self.data = data
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            why = error.strerror or error
            raise EngineError(f"cannot listen on port {port}: {why}; use another port, or 0") from None
        self._server.web = self
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    web: Web


class _Handler(BaseHTTPRequestHandler):
    timeout = 10.0  # seconds for a request
    server: _Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if not self._from_here():
            return
        if page := PAGES.get(asked.path):
            folder = resources.files("lbkit.live.monitor").joinpath("page")
            self._answer(200, folder.joinpath(page[0]).read_bytes(), page[1])
        elif asked.path == "/data.json":
            try:
                minutes = float(parse_qs(asked.query).get("minutes", ["5"])[0])
                if isnan(minutes):
                    raise ValueError("nan is no number of minutes")
                found = self.server.web.data(min(max(minutes, MINUTES[0]), MINUTES[1]))
            except ValueError as error:
                self._refuse(400, f"minutes: {error}")
            except EngineError as error:  # Prometheus has ended
                self._refuse(503, str(error))
            else:
                self._answer(200, json.dumps(found, allow_nan=False).encode(), JSON)
        else:
            self._refuse(404, "there is nothing here: / has the page, /data.json its data")

    def do_POST(self) -> None:
        if not self._from_here():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != WEBHOOK or not (length.isdigit() and int(length) <= LARGEST):
            self._refuse(404, f"messages go to {WEBHOOK}, with their length")
        elif self.headers.get_content_type() != JSON:  # which a page of another origin cannot send
            self._refuse(415, f"use {JSON}")
        else:
            try:
                self.server.web.on_message(json.loads(self.rfile.read(int(length))))
            except ValueError as error:
                self._refuse(400, str(error))
            else:
                self._answer(200, b"{}", JSON)

    def _from_here(self) -> bool:
        if HERE.fullmatch(self.headers.get("Host", "")):
            return True
        self._refuse(421, "the Host field does not name this machine: use localhost or 127.0.0.1")
        return False

    def _refuse(self, status: int, why: str) -> None:
        self._answer(status, json.dumps({"error": why}).encode(), JSON)

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": content_type}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what matters is printed by the monitor."""
