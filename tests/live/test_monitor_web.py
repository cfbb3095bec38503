"""The monitor's web server: who may talk to it, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from lbkit.live.monitor.web import Web
from lbkit.run import EngineError

TOLD: list[Any] = []


def data(minutes: float) -> dict[str, float]:
    if minutes == 13:
        raise EngineError("Prometheus does not answer")
    return {"minutes": minutes}


def take(message: Any) -> None:
    if message == "wrong":
        raise ValueError("this is no message of an Alertmanager")
    TOLD.append(message)


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    web = Web(0, take, data)
    yield web
    web.close()


def ask(web: Web, method: str, path: str, body: str | None = None, **fields: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", web.port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): v for name, v in fields.items()})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if answer.headers[
            "Content-Type"
        ] == "application/json" else text
    finally:
        connection.close()


def test_the_page_and_its_data(web: Web) -> None:
    status, page = ask(web, "GET", "/")
    assert (status, "<title>lbkit monitor</title>" in page) == (200, True)
    assert ask(web, "GET", "/page.js")[0] == 200
    assert ask(web, "GET", "/data.json?minutes=15") == (200, {"minutes": 15.0})
    for wrong in ("x", "nan"):
        assert ask(web, "GET", f"/data.json?minutes={wrong}")[0] == 400
    assert ask(web, "GET", "/data.json?minutes=13") == (503, {"error": "Prometheus does not answer"})
    assert ask(web, "GET", "/../page.py")[0] == 404


def test_messages_are_taken(web: Web) -> None:
    TOLD.clear()
    assert ask(web, "POST", "/alerts", '{"alerts": []}', Content_Type="application/json")[0] == 200
    assert TOLD == [{"alerts": []}]
    for body in ("{", '"wrong"'):
        assert ask(web, "POST", "/alerts", body, Content_Type="application/json")[0] == 400
    assert ask(web, "POST", "/alerts", "{}", Content_Type="text/plain")[0] == 415
    assert ask(web, "POST", "/", "{}", Content_Type="application/json")[0] == 404
    assert len(TOLD) == 1


def test_a_page_elsewhere_cannot_pretend_to_be_here(web: Web) -> None:
    for method, path in (("GET", "/data.json"), ("POST", "/alerts")):
        status, answer = ask(web, method, path, Host="evil.example:80", Content_Type="application/json")
        assert (status, "does not name this machine" in answer["error"]) == (421, True)


def test_a_port_that_is_taken_is_named(web: Web) -> None:
    with pytest.raises(EngineError, match=f"cannot listen on port {web.port}: .*; use another port, or 0"):
        Web(web.port, take, data)
