"""A small film by hand in which everything happens that a stage can show."""

from __future__ import annotations

from typing import Any

OUTCOMES = ["ok", "failed", "denied", "refused", "timeout", "left", "cancelled", "unfinished"]
KINDS = ["first", "retry", "hedge"]
OK, FAILED, DENIED, REFUSED, TIMEOUT, LEFT, CANCELLED, UNFINISHED = range(8)
FIRST, RETRY, HEDGE = range(3)

# sent, answered, client, size, status, outcome
REQUESTS: list[tuple[Any, ...]] = [
    (0.10, 0.50, 0, 1.0, 200, OK),
    (0.12, 0.32, 1, 0.5, 200, OK),
    (0.15, 1.00, 2, 2.0, 200, OK),  # fails first
    (0.20, 0.20, 0, 1.0, 429, DENIED),
    (0.25, 0.80, 1, 1.0, 504, TIMEOUT),
    (0.30, 0.90, 2, 1.0, 200, OK),  # hedged
    (0.35, 0.35, 0, 1.0, 503, REFUSED),
    (0.40, 0.70, 1, 1.0, 0, LEFT),
    (0.45, 1.20, 2, 4.0, 200, OK),
    (0.60, 0.75, 0, 1.0, 500, FAILED),
    (1.00, 1.30, 1, 1.0, 200, OK),
    (1.30, None, 2, 3.0, 0, UNFINISHED),
]
# request, server, at, start, end, kind, outcome
ATTEMPTS: list[tuple[Any, ...]] = [
    (0, 0, 0.10, 0.10, 0.50, FIRST, OK),
    (1, 1, 0.12, 0.12, 0.32, FIRST, OK),
    (2, 2, 0.15, 0.15, 0.45, FIRST, FAILED),
    (4, 1, 0.25, 0.32, 0.80, FIRST, TIMEOUT),
    (5, 1, 0.30, None, 0.90, FIRST, CANCELLED),
    (7, 1, 0.40, None, 0.70, FIRST, LEFT),
    (8, 0, 0.45, 0.50, 1.20, FIRST, OK),
    (2, 0, 0.55, 0.55, 1.00, RETRY, OK),
    (5, 0, 0.60, 0.60, 0.90, HEDGE, OK),
    (9, 2, 0.60, 0.60, 0.75, FIRST, FAILED),
    (10, 1, 1.00, 1.00, 1.30, FIRST, OK),
    (11, 1, 1.30, 1.30, None, FIRST, UNFINISHED),
]
STATES: list[tuple[Any, ...]] = [
    (0.45, 2, "server", "down", None, "crash"),
    (0.80, 2, "breaker", "open", None, "two failures in a row"),
    (0.90, 1, "speed", "slow", 0.3, "slow"),
    (1.10, 0, "drain", "draining", None, "by the operator"),
    (1.20, 0, "weight", "set", 3.0, ""),
    (1.40, 2, "server", "up", None, "recover"),
    (1.40, 2, "breaker", "half_open", None, "a probe"),
    (1.42, None, "policy", "maglev", None, "switch"),
    (1.45, 1, "omen", "strange", None, "a kind that the stage does not know"),
]


def columns(names: str, rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(names.split(), zip(*rows, strict=True), strict=True)}


def server(name: str, workers: int, **more: Any) -> dict[str, Any]:
    usual = {
        "queue": None,
        "weight": 1.0,
        "speed": 1.0,
        "zone": "",
        "pool": "",
        "sharing": False,
        "member": True,
    }
    return {"name": name, "workers": workers} | usual | more


def every_outcome(policy: str = "least_connections") -> dict[str, Any]:
    servers = [server("s1", 4), server("s2", 1, queue=3), server("s3", 2, weight=2.0, zone="b")]
    attempts = columns("request server at start end kind outcome", ATTEMPTS)
    return {
        "version": 1,
        "title": "A toy with </script> in its title",
        "engine": "sim",
        "policy": policy,
        "start": 0.0,
        "end": 1.6,
        "pace": 0.2,
        "flight": 0.06,
        "clients": [
            {"name": f"c{i}", "colour": colour} for i, colour in enumerate(["#2350BE", "#D7A10C", "#22D582"])
        ],
        "servers": servers,
        "requests": {"row": [*range(len(REQUESTS))]}
        | columns("sent answered client size status outcome", REQUESTS),
        "attempts": attempts,
        "outcomes": OUTCOMES,
        "kinds": KINDS,
        "states": [
            dict(zip(("at", "server", "kind", "state", "value", "why"), s, strict=True)) for s in STATES
        ],
        "captions": [caption(attempts, i) for i in range(9)],
        "notes": ["made by hand"],
        "props": [{"kind": "of a later version", "title": "not known"}],
    }


def caption(attempts: dict[str, list[Any]], number: int) -> dict[str, Any]:
    chosen = attempts["server"][number]
    scores = {f"s{i + 1}": float(i != chosen) * (i + 1) for i in range(3)}
    return {
        "at": attempts["at"][number],
        "request": attempts["request"][number],
        "chosen": chosen,
        "text": "the fewest in flight",
        "scores": scores,
        "best": "lowest",
        "place": number % 3,
        "places": 3,
    }
