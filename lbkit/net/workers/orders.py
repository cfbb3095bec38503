"""What a process can be told to do while it runs: the orders of the operator, by name.

An order is a table with the name of an order in `do`, and its arguments. An order that cannot be carried out
raises ValueError or KeyError, and changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lbkit.core import Intent
from lbkit.core.key import key_of
from lbkit.net.config import Layer4Config
from lbkit.net.proxy import Proxy
from lbkit.net.workers.report import Process, report, sample

Order = dict[str, Any]


class OrderError(ValueError):
    """Raised for an order that cannot be carried out; the message has the reason."""


def set_intent(process: Process, backend: str, intent: str) -> None:
    process.proxy.set_intent(backend, Intent(intent))


def set_weight(process: Process, backend: str, weight: float) -> None:
    process.pool.set_weight(backend, weight)


def set_breaker(process: Process, backend: str, opens: bool) -> None:
    """Open or close the breaker of a backend."""
    for pool in (pool for pool in process.pool.pools if backend in pool):
        if pool.watch is None or pool.watch.breaker(backend) is None:
            raise ValueError(f"{backend} has no breaker: add [policy.health.breaker], and reload")
        pool.watch.order_breaker(backend, opens, process.now())


def switch(process: Process, algorithm: str, options: Mapping[str, Any]) -> None:
    """Go on with another algorithm in every pool, or in none, and with the key that it hashes."""
    before = process.config
    config = attrs.evolve(before, policy=attrs.evolve(before.policy, algorithm=algorithm, options=options))
    switched = []
    try:
        for _, pool in process.named_pools():
            config.policy.switch(pool, _stream)  # which goes back by itself if it fails
            switched.append(pool)
    except Exception:
        for pool in switched:
            before.policy.switch(pool, _stream)
        raise
    process.config = config
    if isinstance(process.proxy, Proxy):
        process.proxy.config = attrs.evolve(process.proxy.config, policy=config.policy)
        process.proxy.service.key = key_of(config.policy.keyed_by)
    elif isinstance(config, Layer4Config):
        process.proxy.key = key_of(config.key)


def _stream(name: str) -> random.Random:
    return random.Random()


def purge(process: Process, url: str) -> int:
    """Empty the cache, or remove what is stored of one URL; return the number of stored answers removed."""
    if not isinstance(process.proxy, Proxy):
        raise ValueError("at layer 4 there is no cache")
    return process.proxy.purge(url or None)


ORDERS: dict[str, Callable[..., Any]] = {
    "report": report,
    "sample": sample,
    "intent": set_intent,
    "weight": set_weight,
    "breaker": set_breaker,
    "switch": switch,
    "purge": purge,
}


def carry_out(process: Process, order: Order) -> Order:
    """Carry out an order of the supervisor; return the answer: `result`, or `error`."""
    arguments = dict(order)
    name = arguments.pop("do")
    try:
        return {"result": ORDERS[name](process, **arguments)}
    except (LookupError, ValueError) as error:
        return {"error": str(error.args[0])}
    except Exception as error:  # a learner's algorithm may raise anything
        process.proxy.faults.report(f"the order {name!r} failed")
        return {"error": str(error) or type(error).__name__}
