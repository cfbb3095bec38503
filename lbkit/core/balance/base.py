"""The base class of all algorithms, and the registry that finds them by name."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.contract import FAILURES, check_name, method_failed
from lbkit.core.meter import LoadReport
from lbkit.core.options import option_faults
from lbkit.core.text import did_you_mean, shown
from lbkit.extensions import compiled

_registry: dict[str, type[Balancer]] = {}


@mypyc_attr(native_class=False)  # a native class would reject wrong arguments before the checks below
@dataclass(frozen=True, slots=True)
class Why:
    """The explanation of a pick: the rule, and the values that it compared."""

    rule: str
    scores: Mapping[str, float] = field(default_factory=dict)  # the values compared, by backend
    best: str = ""  # which of the scores wins: "lowest" or "highest"
    place: float | None = None  # of the key: a slot of a table, or a position from 0 to 1 on a ring
    places: int = 0  # slots of the table; 0 means a ring
    near: tuple[tuple[float, str], ...] = ()  # points of the ring around it: one before, some after

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be shown, in the line of an algorithm's own `explain`."""
        if not isinstance(self.rule, str):
            raise ValueError(f"rule is {shown(self.rule)}: use a sentence")
        scores: Mapping[str, Any] = self.scores  # a learner's algorithm may give anything
        for name, score in scores.items():
            if not isinstance(score, Real):
                raise ValueError(f"the score of {name} is {shown(score)}: use a number")

    def __str__(self) -> str:
        parts = [self.rule]
        if self.scores:
            compared = ", ".join(f"{name} {score:.4g}" for name, score in self.scores.items())
            parts.append(f"{compared}: the {self.best} wins" if self.best else compared)
        if self.place is not None:
            parts.append(f"slot {self.place:g} of {self.places}" if self.places else f"at {self.place:.4f}")
        if self.near:
            parts.append("near " + ", ".join(f"{name} at {where:.4f}" for where, name in self.near))
        return "; ".join(parts)


@mypyc_attr(allow_interpreted_subclasses=True)
class Balancer:
    """A rule that chooses a backend. A subclass with only `pick` is complete:

    >>> class Busiest(Balancer):
    ...     def pick(self, backends, key, now):
    ...         return max(backends, key=lambda b: b.in_flight)

    Defining it registers it, here as "busiest" (or under its `name`), for every engine.

    `backends` is never empty, holds eligible backends only, and is the same tuple until something
    changes; `rebuild` is called before the first pick and after every change. `now` is in seconds. `rng` is
    the only source of randomness: the same seed gives the same decisions. No I/O and no clock here.
    """

    name: ClassVar[str] = ""
    keyed: ClassVar[bool] = False  # whether the key decides, so that equal keys go to one backend
    keyed_by: ClassVar[str] = "client"  # the default of a policy's `key`: see core/key.py
    # Whether backends get requests in proportion to their weights, whatever their load and the key.
    by_weight: ClassVar[bool] = False
    wants_reports: ClassVar[bool] = False  # whether backends report their load to it
    # The property of backends, "priority" or "zone", by which it shares traffic out according to health.
    health_by: ClassVar[str] = ""
    wants_idle: ClassVar[bool] = False  # whether idle servers report to one of several balancers
    # Whether it takes the options `index` and `balancers`, for several side by side (core/replicas.py).
    numbered: ClassVar[bool] = False
    rng: random.Random

    def __new__(cls, *args: Any, **kwargs: Any) -> Balancer:
        # Here and not in __init__, so that a subclass may have an __init__ that calls no super().
        self = super().__new__(cls)
        self.rng = random.Random(0)
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        check_name(cls)
        if cls.__name__.startswith("_"):
            return  # a shared base, not an algorithm
        known = _registry.get(cls.name)
        if known and ours(known) and not ours(cls):
            raise ValueError(f"lbkit has a {cls.name!r} of its own: give {cls.__name__} another name")
        _registry[cls.name] = cls

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        """Choose one of `backends`; raise NoBackend if none of them may serve this key."""
        raise NotImplementedError(f"{type(self).__name__} has no pick(backends, key, now)")

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        """Choose one of `backends` that is not in `exclude`, for a retry; there is at least one.

        The default suits an algorithm with a `pick` that reads `backends` each time; one that
        looks them up in its own data structure overrides it.
        """
        return self.pick(tuple(b for b in backends if b not in exclude), key, now)

    def rebuild(self, backends: Sequence[Backend]) -> None:
        """Called when membership, a weight or eligibility changed; `backends` may be empty."""

    def check_weights(self, weights: Mapping[str, float]) -> None:
        """Raise ValueError, which names the backend, for weights by name that would not fit into memory."""

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        """Start the rotation at `place`, from 0 (the first turn) to below 1. Called once, after a `rebuild`.

        Balancers side by side get different places: else each sends its first requests to the same few
        backends. An algorithm without a rotation ignores it, and so does the exact version of a program
        that starts every worker at the first backend. (Envoy starts each worker's rotation at random.)
        """

    def members(self, backends: Sequence[Backend]) -> None:
        """Called before each `rebuild` with all backends of the pool, eligible or not."""

    def panics(self, backends: Sequence[Backend], threshold: float) -> Collection[Backend]:
        """Return the backends to treat as healthy: all, when a smaller share than `threshold` is healthy.

        `backends` are those that the operator wants in service, healthy or not."""
        healthy = sum(b.healthy for b in backends)
        return backends if healthy < threshold * len(backends) else ()

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        """Called when a request ends; `in_flight` and `latency` of the backend are up to date.

        `latency` is in seconds. `ok` is None when the outcome is not known, as when the client left."""

    def resumed(self, backend: Backend, now: float) -> None:
        """Called when a session goes on at its backend, which then is not picked. `in_flight` is up to date.

        The backend need not be eligible: it may be draining."""

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        """Return why `pick` will choose the backend that it will choose; changes nothing."""
        return Why((type(self).__doc__ or self.name).strip().partition("\n")[0])

    def explain_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Why:
        """Return the same for `pick_except`: the backends tried so far, and how another is chosen."""
        others = tuple(b for b in backends if b not in exclude)
        own_order = type(self).pick_except is not Balancer.pick_except  # from its own data structure
        why = self.explain(backends if own_order else others, key, now)
        names = {b.name for b in others}
        return replace(
            why,
            rule=f"a retry, not {', '.join(b.name for b in exclude)}: {why.rule}"
            + (", or the next not tried" if own_order and not why.best else ""),
            scores={name: score for name, score in why.scores.items() if name in names},
            near=tuple((where, name) for where, name in why.near if name in names),
        )

    def probe_targets(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        """Return the backends to probe for a load report, after a pick. Called only if `wants_reports`."""
        return ()

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        """Called with a backend's load report: from an answer, or from a probe. Only if `wants_reports`."""

    def share_idle(self, report: Callable[[Backend], object]) -> None:
        """Called on each of several balancers: forget which backends are idle. Only if `wants_idle`.

        From now on, call `report` with a backend that has no more requests of this balancer. If it has none
        of the others either, `on_idle` is called on one of them."""

    def on_idle(self, backend: Backend) -> None:
        """Called on one of several balancers when a server has become idle. Only if `wants_idle`."""


@mypyc_attr(allow_interpreted_subclasses=True)
class _Rotation(Balancer):
    """The base of algorithms that take turns: to start at a later turn is to take the turns before it."""

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        for _ in range(int(place * len(backends))):
            self.pick(backends, "", 0.0)


@contextmanager
def restoring(rng: random.Random) -> Iterator[None]:
    """Restore the state of `rng` afterwards, so that the next pick draws the same numbers."""
    state = rng.getstate()
    try:
        yield
    finally:
        rng.setstate(state)


def algorithms() -> dict[str, type[Balancer]]:
    """Return every algorithm by name, your own included."""
    return dict(sorted(_registry.items()))


def forget(algorithm: str | type[Balancer]) -> None:
    """Remove an algorithm of your own, by name or class. Raises ValueError for lbkit's and unknown ones."""
    name = algorithm if isinstance(algorithm, str) else algorithm.name
    if name not in _registry:
        raise ValueError(_unknown(name))
    if ours(_registry[name]):
        raise ValueError(f"{name!r} is lbkit's: only algorithms of your own can be forgotten")
    del _registry[name]


def ours(cls: type[Balancer]) -> bool:
    """Return whether an algorithm is part of lbkit."""
    return str(vars(cls)["__module__"]).startswith("lbkit.")


def _unknown(name: str) -> str:
    hint = did_you_mean(name, _registry, joint="") or f"there are {', '.join(sorted(_registry))}"
    return f"no algorithm {name!r}: {hint}"


def _at_the_call(error: TypeError) -> bool:
    """Return whether arguments did not fit: then nothing was called that could be in the traceback."""
    return error.__traceback__ is None or error.__traceback__.tb_next is None


# Names with a _, as a compiled function would take an option called `name` or `rng` for its own argument.
def make_balancer(_name: str, _rng: random.Random | None = None, /, **options: Any) -> Balancer:
    """Return a new balancer by the name of its algorithm; `_rng` is its source of randomness.

    Raises ValueError for an unknown name or option, AlgorithmError if its `__init__` raises another error."""
    try:
        cls = _registry[_name]
    except KeyError:
        raise ValueError(_unknown(_name)) from None
    if compiled() and ours(cls) and (faults := "; ".join(option_faults(cls, options))):
        # Before compiled code takes True for 1.0, or says in words of its own what is wrong.
        raise ValueError(f"algorithm {_name!r} does not take these options: {faults}")
    try:
        balancer = cls(**options)
    except ValueError:  # an option that cannot be
        raise
    except FAILURES as error:
        if isinstance(error, TypeError) and (ours(cls) or _at_the_call(error)):
            why = "; ".join(option_faults(cls, options)) or error
            raise ValueError(f"algorithm {_name!r} does not take these options: {why}") from None
        raise method_failed(cls, "__init__", error) from None
    if _rng is not None:
        balancer.rng = _rng
    return balancer
