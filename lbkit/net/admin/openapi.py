"""The API's description, an OpenAPI 3.1 document, made from the table of operations.

A test (schemathesis) sends what it describes, and compares what comes back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lbkit import __version__
from lbkit.core import Intent
from lbkit.core.balance import algorithms
from lbkit.core.drain import DrainState
from lbkit.net.workers.figures import BREAKERS
from lbkit.net.workers.report import STATES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "number", "description": "seconds since 1970"}
COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}


def table(**fields: Schema) -> Schema:
    """Return the schema of an object with exactly these fields."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def some(**fields: Schema) -> Schema:
    """Return the schema of an object with some of these fields, at least one."""
    return {"type": "object", "properties": fields, "minProperties": 1, "additionalProperties": False}


def several(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def words(*texts: str) -> Schema:
    return {"type": "string", "enum": list(texts)}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


QUANTILES = table(**dict.fromkeys(("p50", "p90", "p99"), maybe(NUMBER)))
SERIES = table(requests=several(NUMBER), errors=several(NUMBER))
_COUNTS = {
    **dict.fromkeys(("requests", "errors", "retries", "attempts", "bytes"), COUNT),
    "answers": table(**dict.fromkeys((f"{digit}xx" for digit in range(1, 6)), COUNT)),
    "errors_by_kind": COUNTS,
    "failed_attempts": COUNTS,
    "latency": QUANTILES,
}
SCHEMAS: dict[str, Schema] = {
    "Fault": table(field=TEXT, message=TEXT),
    "Error": table(error=TEXT, faults=several(ref("Fault"))),
    "Counts": {**table(**_COUNTS), "description": "Since the start. Latencies are successes', in seconds."},
    "Recent": {
        **table(requests_per_second=NUMBER, errors_per_second=NUMBER, latency=QUANTILES),
        "description": "Over the last minute.",
    },
    "Change": {
        **table(at=TIME, backend=TEXT, kind=TEXT, before=TEXT, after=TEXT, why=TEXT),
        "description": "The last change of a backend's state.",
    },
    "Backend": table(
        name=TEXT,
        pool=TEXT,
        address=TEXT,
        zone=TEXT,
        priority=COUNT,
        weight=NUMBER,
        workers={**COUNT, "description": "Requests that it works on at once; 0: not known."},
        state=words(*STATES),
        states={**COUNTS, "description": "State -> how many processes say so."},
        intent=words(*(intent.value for intent in Intent)),
        drain=words(*(state.value for state in DrainState)),
        drain_left={**maybe(NUMBER), "description": "Seconds until a drain cuts off what still runs."},
        healthy=FLAG,
        held_by=several(TEXT),
        check=maybe(TEXT),
        breaker=maybe(words(*BREAKERS)),
        in_flight=COUNT,
        gets_requests=FLAG,
        change=maybe(ref("Change")),
        counts=ref("Counts"),
        recent=ref("Recent"),
    ),
    "Pool": table(name=TEXT, algorithm=TEXT, backends=several(TEXT)),
    "Policy": table(
        algorithm=TEXT,
        options={"type": "object"},
        file={"type": "object", "description": "The table [policy] of the file, without secrets."},
    ),
    "Stats": table(
        totals=ref("Counts"),
        recent=ref("Recent"),
        clients=COUNT,
        in_flight=COUNT,
        without_backend={**ref("Counts"), "description": "Requests that no backend of now got."},
        decisions={**COUNTS, "description": "What was done about failures: retries, hedges, timeouts."},
        filters={"type": "object", "additionalProperties": COUNTS},
        faults=several(TEXT),
    ),
    "Worker": table(
        pid=COUNT,
        generation=COUNT,
        state=words("serving", "retiring", "busy"),
        clients=maybe(COUNT),
        requests=maybe(COUNT),
    ),
    "Reloads": table(count=COUNT, failed=maybe(table(at=TIME, faults=several(ref("Fault")))), waiting=FLAG),
    "Status": table(
        version=TEXT,
        started=TIME,
        now=TIME,
        listen=TEXT,
        algorithm=TEXT,
        interval={**NUMBER, "description": "Seconds between the points of a series."},
        pools=several(ref("Pool")),
        backends=several(ref("Backend")),
        series={"type": "object", "additionalProperties": SERIES},
        stats=ref("Stats"),
        workers=several(ref("Worker")),
        reloads=ref("Reloads"),
    ),
    "BackendChange": some(weight=NUMBER, intent=words(*(intent.value for intent in Intent))),
    "BreakerChange": table(state=words("open", "closed")),
    "AlgorithmChange": {
        **table(algorithm=words(*algorithms()), options={"type": "object"}),
        "required": ["algorithm"],
    },
    "Purge": {
        **table(url={**TEXT, "pattern": "^[!-~]*$", "description": "Empty, or missing: everything."}),
        "required": [],
    },
    "Purged": table(removed=COUNT),
    "Check": table(valid=FLAG, faults=several(ref("Fault"))),
    "Reloaded": table(reloaded=FLAG, backends=COUNT),
}


@dataclass(frozen=True)
class Operation:
    """One operation: `call` is the name of the method of Api that carries it out."""

    method: str
    path: str
    call: str
    summary: str
    answer: Schema
    body: str = ""  # the name of a schema; "TOML": a text
    errors: tuple[int, ...] = ()


ERRORS = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong (on the loopback address; the Unix socket needs none).",
    403: "The request comes from a page of another origin.",
    404: "There is nothing of that name.",
    405: "The path has no such method.",
    409: "It cannot be done now, or with this configuration; nothing has changed.",
    413: "The body is too long.",
    415: "The body has another content type.",
    421: "The Host field does not name this machine.",
    422: "Fields are wrong; nothing has changed.",
    503: "No worker is running.",
}
_OF_CHANGES = (400, 401, 403, 413, 415)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lbkit proxy",
            "version": __version__,
            "description": "Looks at a running proxy, and changes it. Times are in seconds.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    changes = operation.method != "GET"
    statuses = {*operation.errors, 421, *(_OF_CHANGES if changes else ())}
    described: dict[str, Any] = {
        "operationId": operation.call,
        "summary": operation.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
            for name in re.findall(r"{(\w+)}", operation.path)
        ],
        "responses": {
            "200": _content("Done." if changes else "As it is now.", operation.answer),
            **{str(status): _content(ERRORS[status], ref("Error")) for status in sorted(statuses)},
        },
    }
    if operation.body:
        is_text = operation.body == "TOML"
        schema = {"application/toml": {"schema": TEXT}} if is_text else _json(ref(operation.body))
        described["requestBody"] = {"required": True, "content": schema}
    if changes:
        described["security"] = [{"token": []}]
    return described


def _content(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": _json(schema)}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
