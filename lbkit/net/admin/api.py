"""The operations of the admin interface, and how a request finds its own."""

from __future__ import annotations

import asyncio
import json
import re
import traceback
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any
from urllib.parse import unquote

from lbkit.needs import why_not
from lbkit.net.admin import views
from lbkit.net.admin.bodies import (
    AlgorithmChange,
    BackendChange,
    BodyError,
    BreakerChange,
    Purge,
    read_body,
)
from lbkit.net.admin.openapi import Operation, document, ref, several
from lbkit.net.messages import Answer
from lbkit.net.workers.control import Control
from lbkit.net.workers.orders import OrderError

NOT_THERE, CONFLICT, WRONG = (404,), (404, 409, 422, 503), (409, 422, 503)
BACKEND, BREAKER, ALGORITHM = "/api/backends/{name}", "/api/backends/{name}/breaker", "/api/policy/algorithm"
OPERATIONS = (
    Operation("GET", "/api/status", "status", "All that the status page shows", ref("Status")),
    Operation("GET", "/api/pools", "pools", "The pools", several(ref("Pool"))),
    Operation("GET", "/api/pools/{name}", "pool", "One pool", ref("Pool"), errors=NOT_THERE),
    Operation("GET", "/api/backends", "backends", "All backends", several(ref("Backend"))),
    Operation("GET", BACKEND, "backend", "One backend", ref("Backend"), errors=NOT_THERE),
    Operation(
        "PATCH", BACKEND, "change_backend", "Set weight or intent", ref("Backend"), "BackendChange", CONFLICT
    ),
    Operation(
        "PUT", BREAKER, "change_breaker", "Trip or reset a breaker", ref("Backend"), "BreakerChange", CONFLICT
    ),
    Operation("GET", "/api/policy", "policy", "The policy", ref("Policy")),
    Operation(
        "PUT", ALGORITHM, "change_algorithm", "Switch all pools", ref("Policy"), "AlgorithmChange", WRONG
    ),
    Operation("GET", "/api/stats", "stats", "Counts and rates over all backends", ref("Stats")),
    Operation("GET", "/api/workers", "workers", "The processes that serve", several(ref("Worker"))),
    Operation("POST", "/api/cache/purge", "purge", "Remove stored answers", ref("Purged"), "Purge", WRONG),
    Operation("POST", "/api/config/check", "check", "Check a configuration", ref("Check"), "TOML"),
    Operation("POST", "/api/reload", "reload", "Read the file again", ref("Reloaded"), errors=(409, 422)),
)
METRICS = "/metrics"
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Refused(Exception):
    """Raised for a request that cannot be carried out. `lines`: the faults, one for each field."""

    def __init__(self, status: int, why: str, lines: list[str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.lines = lines or []


class Api:
    """Answers requests through a Control."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self._document = _json(200, document(OPERATIONS))
        folder = resources.files("lbkit.net.admin").joinpath("page")
        self._pages = {
            path: Answer(200, body=folder.joinpath(name).read_bytes(), content_type=kind.encode())
            for path, (name, kind) in PAGES.items()
        }
        self._pages["/openapi.json"] = self._document

    async def answer(
        self, method: str, target: str, content_type: str, body: bytes, accept: str = ""
    ) -> Answer:
        """Return the answer to a request. Never raises."""
        path = target.partition("?")[0]
        try:
            if path == METRICS and method in ("GET", "HEAD"):
                return await self.metrics(accept)
            if path in self._pages or path == METRICS:
                if method not in ("GET", "HEAD"):
                    return self.refused(405, "use GET", b"Allow: GET, HEAD\r\n")
                return self._pages[path]
            operation, arguments = _find(method, path)
            _check_type(operation, content_type)
            call: Callable[..., Awaitable[Any]] = getattr(self, operation.call)
            return _json(200, await call(*arguments, *([body] if operation.body else [])))
        except _WrongMethod as error:
            allowed = ", ".join(error.allowed)
            return self.refused(405, f"use {allowed}", f"Allow: {allowed}\r\n".encode())
        except Refused as error:
            return self.refused(error.status, str(error), lines=error.lines)
        except BodyError as error:
            lines = str(error).splitlines()
            return self.refused(400 if "not JSON" in lines[0] else 422, lines[0], lines=lines)
        except OrderError as error:
            return self.refused(503 if "try again" in str(error) else 409, str(error))
        except Exception:  # a fault of ours must not leave a client waiting
            traceback.print_exc()
            return self.refused(500, "the admin interface failed; the proxy's output says how")

    def refused(self, status: int, why: str, fields: bytes = b"", lines: list[str] | None = None) -> Answer:
        """Return an answer that says why a request was not carried out."""
        if status == 401:
            fields += b"WWW-Authenticate: Bearer\r\n"
        return _json(status, {"error": why, "faults": views.faults(lines or [])}, fields)

    # -- reading ------------------------------------------------------------------------------

    async def status(self) -> Any:
        return views.status(self.control, await self.control.read())

    async def pools(self) -> Any:
        return views.pools(self.control, await self.control.read())

    async def pool(self, name: str) -> Any:
        return _named(await self.pools(), name, "pool")

    async def backends(self) -> Any:
        return views.backends(self.control, await self.control.read())

    async def backend(self, name: str) -> Any:
        return _named(await self.backends(), name, "backend")

    async def policy(self) -> Any:
        return views.policy(self.control, await self.control.read())

    async def stats(self) -> Any:
        return views.stats(self.control, await self.control.read())

    async def workers(self) -> Any:
        return views.workers(self.control, await self.control.read())

    async def metrics(self, accept: str) -> Answer:
        """Return the metrics as text for Prometheus, which is no part of the API in JSON."""
        if why := why_not("metrics"):
            raise Refused(501, why)
        from lbkit.net.admin.exposition import exposition  # only where somebody scrapes

        text, kind = exposition(self.control, await self.control.read(), accept)
        return Answer(200, body=text, content_type=kind.encode())

    # -- changing -----------------------------------------------------------------------------

    async def change_backend(self, name: str, body: bytes) -> Any:
        change = read_body(body, BackendChange)
        await self._require(name)
        if change.weight is not None:  # first, as it may be refused: an intent is not
            await self.control.set_weight(name, change.weight)
        if change.intent is not None:
            await self.control.set_intent(name, change.intent)
        return await self.backend(name)

    async def change_breaker(self, name: str, body: bytes) -> Any:
        change = read_body(body, BreakerChange)
        await self._require(name)
        await self.control.set_breaker(name, change.state == "open")
        return await self.backend(name)

    async def _require(self, name: str) -> None:
        """Raise Refused unless there is a backend of this name."""
        if not (await self.control.read()).serving:
            raise Refused(503, "no worker is running: try again")
        await self.backend(name)

    async def change_algorithm(self, body: bytes) -> Any:
        change = read_body(body, AlgorithmChange)
        try:
            self.control.check_algorithm(change.algorithm, change.options)
        except ValueError as error:
            raise Refused(422, str(error).splitlines()[0], str(error).splitlines()) from None
        await self.control.switch(change.algorithm, dict(change.options))
        return await self.policy()

    async def purge(self, body: bytes) -> Any:
        return {"removed": await self.control.purge(read_body(body, Purge).url)}

    async def check(self, body: bytes) -> Any:
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(400, f"byte {error.start + 1}: not TOML: no UTF-8 text") from None
        lines = await asyncio.to_thread(self.control.faults, text)  # looks names up, and reads files
        return {"valid": not lines, "faults": views.faults(lines)}

    async def reload(self) -> Any:
        if self.control.busy:
            raise Refused(409, "a reload is under way, or workers still finish their requests: try later")
        if lines := await self.control.reload():
            raise Refused(422, "not reloaded, the old configuration stays", lines)
        return {"reloaded": True, "backends": len(self.control.config.backends)}


class _WrongMethod(Exception):
    def __init__(self, allowed: list[str]) -> None:
        self.allowed = allowed


def _find(method: str, path: str) -> tuple[Operation, list[str]]:
    """Return the operation of a request, and the names in its path. Raises Refused, _WrongMethod."""
    wanted = "GET" if method == "HEAD" else method
    allowed = []
    for operation in OPERATIONS:
        pattern = re.escape(operation.path).replace(r"\{name\}", "([^/]+)")
        if found := re.fullmatch(pattern, path):
            if operation.method == wanted:
                return operation, [unquote(name) for name in found.groups()]
            allowed.append(operation.method)
    if allowed:
        raise _WrongMethod([*allowed, "HEAD"] if "GET" in allowed else allowed)
    raise Refused(404, "there is nothing here: /openapi.json lists what there is")


def _check_type(operation: Operation, content_type: str) -> None:
    """Raise Refused for a body of another type: one that a form could send across origins, too."""
    if operation.body:
        wanted = "application/toml" if operation.body == "TOML" else "application/json"
        if content_type.partition(";")[0].strip().lower() != wanted:
            raise Refused(415, f"the content type is {content_type[:80]!r}: use {wanted}")


def _named(rows: list[dict[str, Any]], name: str, what: str) -> dict[str, Any]:
    for row in rows:
        if row["name"] == name:
            return row
    there = ", ".join(row["name"] for row in rows)
    raise Refused(404, f"no {what} {name!r}: there are {there}")


def _json(status: int, data: Any, fields: bytes = b"") -> Answer:
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
    return Answer(status, fields=fields, body=body, content_type=b"application/json")
