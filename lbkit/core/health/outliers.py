"""Outlier detection: backends that do worse than the others are ejected for a while, without a probe.

Envoy's rules and defaults, but for `always_one`: Envoy has it off (always_eject_one_host), so with its 10 %
no host of fewer than ten is ever ejected. (Envoy, Outlier detection, architecture overview and api-v3.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean

from lbkit.core.options import named_fields
from lbkit.core.state_change import StateChange

IN, EJECTED = "in", "ejected"


@named_fields
@dataclass(frozen=True, slots=True)
class OutlierRules:
    """What makes a backend an outlier, and for how long it is ejected. Times in seconds, rates as shares.

    At once: `consecutive` failures in a row. At each sweep, every `interval`, among at least `minimum_hosts`
    backends with `request_volume` requests or more since the last sweep: a success rate below the mean of
    all less `stdev_factor` standard deviations; a share of failures of `failure_rate` or more; a mean latency
    above the mean of all plus `latency_factor` standard deviations. 0 turns a rule off.
    An ejection lasts `base_ejection` times the number of ejections so far, at most `max_ejection`; each
    sweep without one takes one off that number. At most a share of `max_ejected` is out at a time, one
    backend being always allowed if `always_one`. Raises ValueError.
    """

    consecutive: int = 5
    interval: float = 10.0
    base_ejection: float = 30.0
    max_ejection: float = 300.0
    max_ejected: float = 0.1
    always_one: bool = True
    minimum_hosts: int = 5
    request_volume: int = 100
    stdev_factor: float = 1.9
    failure_rate: float = 0.0
    latency_factor: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("consecutive", 0), ("minimum_hosts", 1), ("request_volume", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value}: use a whole number, at least {least}")
        for name in ("interval", "base_ejection", "max_ejection"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: use seconds above 0")
        for name in ("max_ejected", "failure_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: use a share from 0 to 1")
        for name in ("stdev_factor", "latency_factor"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: use 0 (off) or a number of deviations")


class _Host:
    """What is known of one backend."""

    __slots__ = ("ejections", "failed", "in_row", "latency", "requests", "until")

    def __init__(self) -> None:
        self.in_row = 0  # failures, one after the other
        self.ejections = 0  # so many times the base time next time, less one
        self.until: float | None = None  # ejected until then
        self.requests = self.failed = 0  # since the last sweep
        self.latency = 0.0  # sum over the successes since the last sweep

    def back(self) -> None:
        """End the ejection. As in Envoy, failures of requests from before do not count towards the next."""
        self.until = None
        self.in_row = 0


class OutlierDetector:
    """Judges backends by the outcomes of their requests."""

    def __init__(self, rules: OutlierRules, backends: Iterable[str] = ()) -> None:
        self.rules = rules
        self._hosts: dict[str, _Host] = {name: _Host() for name in backends}

    def add(self, name: str) -> None:
        self._hosts.setdefault(name, _Host())

    def remove(self, name: str) -> None:
        self._hosts.pop(name, None)

    def ejected(self, name: str) -> bool:
        host = self._hosts.get(name)
        return host is not None and host.until is not None

    def until(self, name: str) -> float | None:
        """Return when the ejection of a backend is over; None for one that is not ejected."""
        host = self._hosts.get(name)
        return host.until if host else None

    def in_row(self, name: str) -> int:
        """Return the failures of a backend, one after the other."""
        host = self._hosts.get(name)
        return host.in_row if host else 0

    def record(self, name: str, ok: bool, latency: float, now: float) -> StateChange | None:
        """Count an outcome; return the ejection that it causes, if any. `latency` is in seconds."""
        host = self._hosts.get(name)
        if host is None:  # has left
            return None
        host.requests += 1
        if ok:
            host.latency += latency
            host.in_row = 0
            return None
        host.failed += 1
        host.in_row += 1
        if not self.rules.consecutive or host.in_row < self.rules.consecutive or host.until is not None:
            return None
        host.in_row = 0
        return self._eject(name, now, f"{self.rules.consecutive} failures in a row")

    def sweep(self, now: float) -> list[StateChange]:
        """Compare the backends, and end the ejections that are over. Call it every `interval`."""
        changes = []
        for name, host in self._hosts.items():
            if host.until is not None and now >= host.until:
                host.back()
                changes.append(StateChange(now, name, "outlier", EJECTED, IN, "time is over"))
            elif host.until is None and host.ejections:
                host.ejections -= 1
        for name, why in self._outliers():
            if change := self._eject(name, now, why):
                changes.append(change)
        for host in self._hosts.values():
            host.requests = host.failed = 0
            host.latency = 0.0
        return changes

    def passed_check(self, name: str, now: float) -> StateChange | None:
        """Take a backend back that passed an active check, as Envoy does; return the change, if any."""
        host = self._hosts.get(name)
        if host is None or host.until is None:
            return None
        host.back()
        return StateChange(now, name, "outlier", EJECTED, IN, "passed an active check")

    def _outliers(self) -> list[tuple[str, str]]:
        """Return the backends that do worse than the others, each with the reason."""
        rules = self.rules
        judged = {
            n: h for n, h in self._hosts.items() if h.requests >= rules.request_volume and h.until is None
        }
        if len(judged) < rules.minimum_hosts:
            return []
        found: dict[str, str] = {}
        rates = {name: 1 - host.failed / host.requests for name, host in judged.items()}
        if rules.stdev_factor:
            mean, deviation = _spread(rates.values())
            threshold = mean - rules.stdev_factor * deviation
            for name, rate in rates.items():
                if rate < threshold:
                    found[name] = f"success rate {rate:.1%}, below {threshold:.1%}"
        if rules.failure_rate:
            for name, rate in rates.items():
                if 1 - rate >= rules.failure_rate:
                    found.setdefault(name, f"{1 - rate:.1%} of requests failed")
        if rules.latency_factor:
            good = {n: h for n, h in judged.items() if h.requests > h.failed}
            means = {n: h.latency / (h.requests - h.failed) for n, h in good.items()}
            mean, deviation = _spread(means.values()) if means else (0.0, 0.0)
            threshold = mean + rules.latency_factor * deviation
            for name, latency in means.items():
                if latency > threshold and deviation > 0:
                    found.setdefault(name, f"mean latency {latency:.3g} s, above {threshold:.3g} s")
        return list(found.items())

    def _eject(self, name: str, now: float, why: str) -> StateChange | None:
        """Eject a backend, unless too many are out."""
        rules = self.rules
        out = sum(host.until is not None for host in self._hosts.values())
        if (out + 1) / len(self._hosts) > rules.max_ejected and not (rules.always_one and out == 0):
            return None
        host = self._hosts[name]
        host.ejections += 1
        duration = min(rules.base_ejection * host.ejections, max(rules.base_ejection, rules.max_ejection))
        host.until = now + duration
        return StateChange(now, name, "outlier", IN, EJECTED, f"{why}: {duration:g} s")


def _spread(values: Iterable[float]) -> tuple[float, float]:
    """Return mean and standard deviation (of the population, as Envoy computes it)."""
    values = list(values)
    mean = fmean(values)
    return mean, sqrt(fmean((value - mean) ** 2 for value in values))
