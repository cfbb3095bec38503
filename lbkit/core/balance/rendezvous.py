"""Rendezvous hashing: every backend gets a score for the key, the highest wins."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import log

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.hashing import hash64, mix64, place64


@mypyc_attr(allow_interpreted_subclasses=True)
class Rendezvous(Balancer):
    """The backend with the highest score, a hash of key and backend ("highest random weight").

    No ring, no table: the winner for a key changes only when it leaves, or a new backend has a higher score.
    O(n) a pick, so for pools of some hundreds. The score is -weight / ln(hash), which makes shares exactly
    proportional to weight. (Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998; Schindelhauer and Schomaker,
    SPAA 2005; all hashes of Caddy.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self) -> None:
        self._salted: list[tuple[int, float, Backend]] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._salted = [(place64(b.name), b.weight, b) for b in backends]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._winner(hash64(key), ())

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return self._winner(hash64(key), exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        scores = {b.name: -w / log((mix64(hash64(key) ^ salt) + 0.5) / 2**64) for salt, w, b in self._salted}
        return Why(f"scores for {key!r}", scores, "highest")

    def _winner(self, key: int, exclude: Collection[Backend]) -> Backend:
        best, winner = -1.0, None
        for salt, weight, backend in self._salted:
            score = -weight / log((mix64(key ^ salt) + 0.5) / 2**64)
            if score > best and backend not in exclude:
                best, winner = score, backend
        assert winner
        return winner
