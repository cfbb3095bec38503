"""What the programs have in common where rules of content switching are written in their languages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.routing import Fixed, Maintenance, Reply, Routing, Rule, Split
from lbkit.live.peers.errors import PeerError


def blocks(pools: Iterable[str], first: str) -> dict[str, str]:
    """Return the name of each pool's block: `first` for the default pool, pool_NAME for the others."""
    names: dict[str, str] = {}
    for pool in pools:
        name = first if pool == DEFAULT_POOL else "pool_" + re.sub(r"\W", "_", pool, flags=re.ASCII)
        while name in names.values():
            name += "_"
        names[pool] = name
    return names


def check(program: str, routing: Routing) -> None:
    """Raise PeerError for rules that no program has here."""
    for rule in routing.rules:
        if rule.rewrite:
            raise PeerError(f"rule {rule.name!r} rewrites, which {program} does not here: use lbkit's proxy")
        if re.search(r'[^ -~]|["\\$%]', rule.name):
            raise PeerError(f'rule {rule.name!r}: {program} has no names with ", \\, $ or % here')
        if isinstance(rule.then, Fixed) and rule.then.fields:
            raise PeerError(f"rule {rule.name!r} has fields of its own, which {program} has not here")


def pattern(text: str) -> str:
    """Return a value of `header`, `cookie` or `query` as a regular expression for the whole text."""
    if text.startswith("~"):
        return f"^(?:{text[1:]})$"
    return "^" + ".*".join(re.escape(piece) for piece in text.split("*")) + "$"


def reply_of(rule: Rule) -> Reply | None:
    """Return the answer of a rule that always gives the same one."""
    if isinstance(rule.then, Fixed | Maintenance):
        # Neither looks at the request.
        return rule.then.decide(None, {}, lambda: 0.0)  # type: ignore[arg-type]
    return None


def edges(split: Split, parts: int) -> list[tuple[str, int]]:
    """Return the pools of a split, each with the end of its share in `parts`; the last one ends there."""
    total = sum(split.shares.values())
    found, upto = [], 0.0
    for pool, weight in split.shares.items():
        upto += weight
        if weight:
            found.append((pool, round(parts * upto / total)))
    return found
