"""The pool: picks, and the lease of each pick.

Each pick is a lease, and each lease is released exactly once, with its outcome. So
in-flight counts cannot leak, and an algorithm that learns gets every outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import NEW_SAMPLE, Backend, NoBackend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.contract import FAILURES, wrong_pick, wrong_why
from lbkit.core.members import Members
from lbkit.core.meter import LoadReport
from lbkit.core.own_code import call


@mypyc_attr(allow_interpreted_subclasses=True)
class Lease:
    """The right to use one backend until `release`."""

    __slots__ = ("_pool", "backend", "start", "why")

    def __init__(self, pool: Pool, backend: Backend, start: float) -> None:
        self.backend = backend
        self.start = start
        self.why: Why | None = None  # the explanation, if `acquire` had `explain`
        self._pool: Pool | None = pool

    @property
    def released(self) -> bool:
        return self._pool is None

    def keep(self, token: str, now: float, begin: bool = True) -> str:
        """Record, before the release, that the backend serves a session; see `Pool.keep`."""
        return self._pool.keep(self.backend, token, now, begin) if self._pool else ""

    def release(self, ok: bool | None, now: float) -> None:
        """Release the backend, as `Pool.release`. Only the first call has an effect."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.release(self.backend, self.start, ok, now)


@mypyc_attr(allow_interpreted_subclasses=True)
class Pool(Members):
    """Members, from which the balancer picks a backend for each request."""

    # -- picking ------------------------------------------------------------------

    def acquire(
        self,
        key: str,
        now: float,
        exclude: Collection[Backend] = (),
        explain: bool = False,
        token: str = "",
    ) -> Lease:
        """Pick a backend and return its lease, which is released once; `explain` adds the reason, `why`."""
        # Before the pick, which changes what the explanation is based on.
        why = self.explain(key, now, exclude, token) if explain else None
        lease = Lease(self, self.pick(key, now, exclude, token), now)
        lease.why = why
        return lease

    def explain(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Why | None:
        """Return the reason for the choice that `pick` will make at `now`; None without an eligible backend.

        Weights in slow start are updated to `now`, as in a pick; nothing else changes."""
        self._advance_watch(now)
        before = ""
        if token and self.affinity and (name := self.affinity.find(token, now)):
            if self._can_resume(name, exclude):
                return Why(f"its session is on {name}")
            if self.affinity.rules.gone == "refuse":
                return None
            before = f"its session was on {name}, which is not available; so "
        if all(b in exclude for b in self.eligible):
            return None
        self._advance_slow_start(now)
        why = (
            self._ask("explain_except", self.eligible, exclude, key, now)
            if exclude
            else self._ask("explain", self.eligible, key, now)
        )
        if not isinstance(why, Why):
            raise wrong_why(self.balancer, "explain", why)
        return replace(why, rule=before + why.rule) if before else why

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        """Pick a backend for `key` and count it in flight. Raises NoBackend, AlgorithmError.

        `exclude` has the backends that a retry has already tried. `token`: the token of a session, which
        stays on its backend if the pool has an `affinity` and the backend is available. The caller must call
        `release` exactly once; with more than one exit path, use `acquire`.
        """
        if self.watch is not None:
            self._advance_watch(now)
        if token and self.affinity is not None and (name := self.affinity.find(token, now)):
            if self._can_resume(name, exclude):
                return self.pick_named(name, now)
            if self.affinity.rules.gone == "refuse":
                raise NoBackend(f"the session is on {name}, which is not available")
        eligible = self.eligible
        if not eligible:
            raise NoBackend(f"none of {len(self._by_name)} backends is eligible")
        if self._in_slow_start:
            self._advance_slow_start(now)
        picked: Any  # what a learner's algorithm returns may be anything
        if exclude:
            picked = self._pick_another(exclude, key, now)
        else:
            try:
                picked = (
                    call(self.balancer.pick, eligible, key, now)
                    if self._own_code
                    else self.balancer.pick(eligible, key, now)
                )
            except NoBackend:
                raise
            except FAILURES as error:
                raise self._failed("pick", error) from None
        try:
            offered = picked in self._offered
        except TypeError:  # a list, say, cannot be looked up
            offered = False
        if not offered:
            raise wrong_pick(self.balancer, self._picking(exclude), picked)
        backend: Backend = picked
        backend.in_flight += 1
        backend.picks += 1
        if self.watch is not None:
            self.watch.started(backend, now)
        return backend

    def has_other(self, tried: Collection[Backend]) -> bool:
        """Return whether a request that has been tried on these backends can go to another one."""
        return any(b not in tried for b in self.eligible)

    # -- sessions -----------------------------------------------------------------

    def _can_resume(self, name: str, exclude: Collection[Backend]) -> bool:
        """Return whether a session stays on its backend, which is eligible, or drains and keeps sessions."""
        backend = self._by_name.get(name)
        if backend is None or backend in exclude:
            return False
        stays = backend.healthy and not backend.blocked and self.drains.accepts_session(name)
        return backend in self._offered or (stays and self.affinity is not None and self.affinity.rules.drain)

    def pick_named(self, name: str, now: float) -> Backend:
        """Pick a backend by name, count it in flight, and inform the algorithm.

        The caller checks that it is eligible. Raises KeyError for an unknown name, AlgorithmError."""
        backend = self[name]
        backend.in_flight += 1
        backend.picks += 1
        if self.watch is not None:
            self.watch.started(backend, now)
        self._ask("resumed", backend, now)
        return backend

    def keep(self, backend: Backend, token: str, now: float, begin: bool = True) -> str:
        """Record the backend that served a session; return the session's new token, or "" for the old one.

        See `Affinity.keep`."""
        return self.affinity.keep(token, backend.name, now, begin) if self.affinity else ""

    # -- steps of a pick and its release --------------------------------------------------

    def _pick_another(self, exclude: Collection[Backend], key: str, now: float) -> Any:
        """Return a backend that is not in `exclude`, for a retry."""
        if all(b in exclude for b in self.eligible):
            raise NoBackend(f"all {len(self.eligible)} eligible backends have been tried")
        try:
            backend = call(self.balancer.pick_except, self.eligible, exclude, key, now)
        except NoBackend:
            raise
        except FAILURES as error:
            raise self._failed(self._picking(exclude), error) from None
        if any(backend is b for b in exclude):
            raise wrong_pick(self.balancer, self._picking(exclude), backend, tried=True)
        return backend

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        """End the use of a backend that was picked at `start`.

        `ok` is the outcome; None if it is unknown (the client left first): then only the slot is freed. Only
        successes count as latency samples; otherwise a server that fails fast would look like the best one.
        """
        backend.in_flight -= 1
        latency = now - start
        if ok:
            known = backend.latency
            backend.latency = known + NEW_SAMPLE * (latency - known) if known else latency
        if self.watch is not None:
            self.watch.ended(backend, start, ok, now)
        if self.drains.draining:
            self.drains.settle(backend, now)
        try:
            if self._own_code:
                call(self.balancer.done, backend, latency, ok, now)
            else:
                self.balancer.done(backend, latency, ok, now)
        except FAILURES as error:
            raise self._failed("done", error) from None

    def _picking(self, exclude: Collection[Backend]) -> str:
        """Return the name of the algorithm's own method that a pick calls."""
        own = type(self.balancer).pick_except is not Balancer.pick_except
        return "pick_except" if exclude and own else "pick"

    # -- for engines ------------------------------------------------------------------

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        """Return the backends to probe for a load report, after `backend` was picked."""
        targets: Sequence[Backend] = self._ask("probe_targets", self.eligible, now)
        try:
            offered = all(target in self._offered for target in targets)
        except TypeError:
            offered = False
        if not offered:
            raise wrong_pick(self.balancer, "probe_targets", targets)
        return targets

    def report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        """Pass a backend's load report to the balancer; `probed`: it answers a probe."""
        self._ask("on_report", backend, load, now, probed)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Itself; the pools of every balancer, with Replicas."""
        return (self,)

    def share_idle(self, report: Callable[[Backend], object]) -> None:
        """Have the balancer call `report` with each backend that has no more requests of this pool."""
        self._ask("share_idle", report)

    def on_idle(self, backend: Backend) -> None:
        """Inform the balancer that a server has become idle."""
        self._ask("on_idle", backend)
