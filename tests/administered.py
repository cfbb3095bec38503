"""`lbkit proxy` as a process with an admin interface, and its API from Python."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripted import TIMEOUT

TOKEN = "a-token-for-tests-0123456789"


class Served:
    """A running proxy. `text`: its file, without `listen` and `admin`; `admin`: more of that table."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, text: str, admin: str = "") -> None:
        self.path = folder / "proxy.toml"
        self.more = f", {admin}" if admin else ""
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self.configure(text)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lbkit", "proxy", str(self.path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.admin = int(re.search(r":(\d+)/", self.wait_for("status page on http://"))[1])  # type: ignore[index]
            self.port = int(re.search(r":(\d+),", self.wait_for("://127.0.0.1"))[1])  # type: ignore[index]
        except BaseException:
            self.__exit__()
            raise

    def configure(self, text: str) -> None:
        admin = f'admin = {{ listen = "127.0.0.1:0", token_file = "{self.token_file}"{self.more} }}'
        self.path.write_text(f'listen = "127.0.0.1:0"\n{admin}\n{text}')

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line.rstrip())

    def wait_for(self, text: str) -> str:
        found = wait_until(lambda: next((line for line in list(self.said) if text in line), ""))
        return str(found)

    def ask(self, path: str = "/") -> int:
        """Send a request through the proxy; return the status."""
        connection = HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the data of an answer of the API."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        sent = {"Content-Type": "application/toml" if isinstance(body, str) else "application/json"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        connection = HTTPConnection(self.host, self.admin, timeout=TIMEOUT)
        try:
            connection.request(method, path, text, sent | (headers or {}))
            answer = connection.getresponse()
            data = answer.read()
            is_json = answer.headers["Content-Type"] == "application/json"
            return answer.status, json.loads(data) if is_json else data
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, data = self.call("GET", path, token=None)
        assert status == 200, data
        return data

    def backend(self, name: str) -> Any:
        return self.get(f"/api/backends/{quote(name, safe='')}")

    def change(self, method: str, path: str, body: Any = None) -> Any:
        status, data = self.call(method, path, body)
        assert status == 200, data
        return data

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self._reader.join(TIMEOUT)
            assert self.process.stderr
            self.process.stderr.close()
        assert not any("Traceback" in line for line in self.said), self.said


def wait_until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < end, "never became true"
        time.sleep(0.02)
    return found
