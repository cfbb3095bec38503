"""The algorithm of a section of haproxy.cfg: `balance`, `hash-type` and `hash-balance-factor`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from attrs import evolve

from lbkit import presets
from lbkit.experiment import Policy
from lbkit.importer.found import as_whole

# Words after `balance`; those with a key are hashes, of the algorithm that `hash-type` names.
_BALANCE = {"roundrobin", "static-rr", "leastconn", "first"}
_HASHES = {"source": "client", "uri": "path"}
_NAMED_HASHES = {"url_param": "query", "hdr": "header"}
_EXPRESSIONS = {"src": "client", "path": "path", "url": "uri", "pathq": "uri"}


@dataclass
class Balance:
    """The directives that choose an algorithm. Methods that take one return whether it was understood."""

    words: list[str] = field(default_factory=list)  # of `balance`
    hash_type: list[str] = field(default_factory=list)
    factor: int = 0

    def take_balance(self, words: list[str]) -> bool:
        if not words:
            return False
        word, _, argument = words[0].partition("(")
        known = (
            word in {*_BALANCE, *_HASHES, *_NAMED_HASHES, "random"}
            and (word not in ("hdr", "url_param") or bool(argument.rstrip(")") or words[1:2]))
        ) or bool(_hash_key(words))
        self.words = words  # an unknown algorithm, too, must replace that of the defaults
        return known

    def take_hash_type(self, words: list[str]) -> bool:
        known = bool(words) and words[0] in ("consistent", "map-based")
        if known:
            self.hash_type = words
        return known and set(words[1:]) <= {"sdbm", "avalanche"}

    def take_factor(self, words: list[str]) -> bool:
        factor = as_whole(words[0]) if words else None
        if factor is None or 0 < factor <= 100:
            return False
        self.factor = factor
        return True

    def policy(self, name: str, first_limit: Callable[[], int], notes: list[str]) -> Policy:
        """Return the policy of the section `name`; `first_limit` returns the limit for `balance first`."""
        words = self.words or ["roundrobin"]
        if not self.words:
            notes.append(f"{name} has no balance: roundrobin, the default before HAProxy 3.3")
        word, _, argument = words[0].partition("(")
        if word == "first":
            return evolve(presets.haproxy("first"), options={"limit": first_limit()})
        if word in _BALANCE:
            return presets.haproxy(word)
        if word == "random":
            return Policy("haproxy_random", {"draws": as_whole(argument.rstrip(")")) or 2})
        key = _hash_key(words)
        if not key:
            notes.append(f"{name}: balance {' '.join(words)} is unknown; imported as roundrobin")
            return presets.haproxy("roundrobin")
        extra = [w for w in words[1:] if w not in ("whole", "check_post")] if word in _HASHES else []
        if extra:
            notes.append(f"{name}: balance {' '.join(words)} is imported as balance {word}")
        if self.hash_type[:1] != ["consistent"]:
            return Policy("haproxy_map", key=key)
        # Keys are mixed unless a function is named without `avalanche`.
        mixed = len(self.hash_type) == 1 or "avalanche" in self.hash_type
        factor = {"factor": self.factor} if self.factor else {}
        return Policy("haproxy_ring", {**factor, **({} if mixed else {"avalanche": False})}, key=key)


def _hash_key(words: list[str]) -> str:
    """Return the key of `balance hash EXPRESSION`, `source` and so on; empty if there is none."""
    word, _, argument = words[0].partition("(")
    argument = argument.rstrip(")")
    if word in _HASHES:
        return "uri" if word == "uri" and "whole" in words else _HASHES[word]
    if word == "url_param":
        return f"query:{words[1]}" if len(words) > 1 else ""
    if word == "hdr":
        return f"header:{argument}" if argument else ""
    if word == "hash" and len(words) > 1:
        expression = words[1].split(",")[0]
        if fetch := re.fullmatch(r"(?:req\.)?(hdr|cook|cookie|url_param|urlp)\(([\w-]+)\)", expression):
            kinds = {"hdr": "header", "cook": "cookie", "cookie": "cookie"}
            return f"{kinds.get(fetch[1], 'query')}:{fetch[2]}"
        return _EXPRESSIONS.get(expression, "")
    return ""
