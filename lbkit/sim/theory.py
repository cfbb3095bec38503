"""Closed forms to check simulations against. Times are in the unit of `service`, the mean service time.

`rho` is load: offered work over capacity. It must be below 1; at 1 and above queues grow without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt


def _stable(rho: float) -> None:
    if not 0 <= rho < 1:
        raise ValueError(f"rho is {rho:g}: closed forms hold for a load from 0 to below 1")


def mm1_time(rho: float, service: float = 1.0) -> float:
    """Return the mean time in an M/M/1 system: service / (1 - rho). (Kleinrock, Queueing Systems I, 3.2.)"""
    _stable(rho)
    return service / (1 - rho)


def mm1_percentile(rho: float, q: float, service: float = 1.0) -> float:
    """Return the q-th percentile of time in an M/M/1 system, first come first served: it is exponential."""
    if not 0 <= q < 100:
        raise ValueError(f"q is {q:g}: percentiles here go from 0 to below 100")
    return -log(1 - q / 100) * mm1_time(rho, service)


def erlang_c(workers: int, rho: float) -> float:
    """Return the probability that an arrival finds all `workers` of an M/M/c system busy. (Erlang, 1917.)"""
    _stable(rho)
    if workers < 1:
        raise ValueError(f"workers is {workers}: use at least 1")
    # From the loss formula (Erlang B) of one worker after the other: no powers or factorials that overflow.
    offered, loss = workers * rho, 1.0
    for k in range(1, workers + 1):
        loss = offered * loss / (k + offered * loss)
    return loss / (1 - rho * (1 - loss))


def mmc_wait(workers: int, rho: float, service: float = 1.0) -> float:
    """Return the mean wait for a worker in an M/M/c system, without the service itself."""
    return erlang_c(workers, rho) * service / (workers * (1 - rho))


def mmc_percentile(workers: int, rho: float, q: float, service: float = 1.0) -> float:
    """Return the q-th percentile of time in an M/M/c system, first come first served.

    A request waits with probability C (Erlang C), and then for an exponential time of rate c (1 - rho) /
    service; its own service comes on top. (Gross and Harris, Fundamentals of Queueing Theory, 2.3.)"""
    if not 0 <= q < 100:
        raise ValueError(f"q is {q:g}: percentiles here go from 0 to below 100")
    waits, spare = erlang_c(workers, rho), workers * (1 - rho)

    def slower(t: float) -> float:
        """Return the probability of more than t service times."""
        if abs(spare - 1) < 1e-9:  # both rates are the same
            return exp(-t) * (1 + waits * t)
        return exp(-t) + waits * (exp(-t) - exp(-spare * t)) / (spare - 1)

    low, high = 0.0, 1.0
    while slower(high) > 1 - q / 100:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slower(middle) > 1 - q / 100 else (low, middle)
    return high * service


def mg1_wait(rho: float, cv: float, service: float = 1.0) -> float:
    """Return the mean wait in an M/G/1 system, for service times of coefficient of variation `cv`.

    (Pollaczek and Khinchine, 1930/32.)"""
    _stable(rho)
    return rho * service * (1 + cv**2) / (2 * (1 - rho))


def md1_wait(rho: float, service: float = 1.0) -> float:
    """Return the mean wait in an M/D/1 system: half that of M/M/1."""
    return mg1_wait(rho, 0.0, service)


def mg1_ps_time(rho: float, service: float = 1.0) -> float:
    """Return the mean time in M/G/1 with processor sharing: that of M/M/1, for any service distribution.

    (Sakata, Noguchi and Oizumi, Operations Research 19, 1971; Kleinrock, Queueing Systems II, 4.4.)"""
    return mm1_time(rho, service)


def supermarket_time(rho: float, choices: int, service: float = 1.0) -> float:
    """Return the mean time in system with very many servers, where arrivals take the shortest of `choices`.

    sum over i >= 1 of rho^((d^i - d)/(d - 1)); d = 1 is M/M/1. (Mitzenmacher, 1996.)"""
    _stable(rho)
    if choices < 1:
        raise ValueError(f"choices is {choices}: use at least 1")
    if choices == 1:
        return mm1_time(rho, service)
    total, i = 0.0, 1
    while True:
        term = float(rho ** ((choices**i - choices) / (choices - 1)))
        total += term
        if term < 1e-15:
            return total * service
        i += 1


def jiq_time(rho: float, servers: float, service: float = 1.0) -> float:
    """Return the mean time in system under JIQ-Random, with very many servers, `servers` for each balancer.

    A queue of idle servers is empty with probability 1 / (1 + servers (1 - rho)), and then the request goes
    to a random server. For exponential service or processor sharing.
    (Lu et al., Performance Evaluation 68, 2011.)"""
    _stable(rho)
    if not servers > 0:
        raise ValueError(f"servers is {servers}: use more than 0 servers for each balancer")
    empty = 1 / (1 + servers * (1 - rho))
    return mm1_time(rho * empty, service)


def ring_spread(points: int) -> float:
    """Return the standard error of a backend's share on a ring, over its mean. (Lamping and Veach, 2014.)"""
    return 1 / sqrt(points)


def moved_by_modulo(backends: int) -> float:
    """Return the share of keys that move when a backend joins `backends` others, under hash modulo number."""
    return backends / (backends + 1)


def moved_by_ring(backends: int) -> float:
    """Return the share of keys that move on a ring when a backend joins: only those it must get."""
    return 1 / (backends + 1)


def fullest_bin(balls: int, choices: int = 1) -> float:
    """Return about how many balls are in the fullest bin when there are as many bins as balls.

    ln n / ln ln n for one choice, ln ln n / ln d for the emptiest of d, up to a constant.
    (Azar et al., 1994.)"""
    if balls < 16:
        raise ValueError(f"balls is {balls}: the formula is for many, so use at least 16")
    many = log(log(balls))
    return log(balls) / many if choices == 1 else many / log(choices)


def checks_until_out(share: float, fall: int) -> float:
    """Return the mean number of checks until `fall` in a row fail, where each fails with probability `share`.

    (1 - p^f) / ((1 - p) p^f). (Feller, An Introduction to Probability Theory, vol. 1, XIII.7.)"""
    if not 0 < share < 1:
        raise ValueError(f"share is {share:g}: use a probability above 0 and below 1")
    if fall < 1:
        raise ValueError(f"fall is {fall}: use at least 1")
    row = share**fall
    return (1 - row) / ((1 - share) * row)


def passive_detection(failures: int, rate: float) -> float:
    """Return the mean time until a dead server that gets `rate` requests a second has failed `failures`.

    Nothing finds it before they come, so the time is that of an Erlang distribution."""
    if not rate > 0:
        raise ValueError(f"rate is {rate:g}: without requests, nothing is ever noticed")
    return failures / rate


def lru_hit_rate(weights: Sequence[float], capacity: float) -> float:
    """Return the hit rate of an LRU cache with room for `capacity` keys, requested by these weights."""
    hits = lru_hit_rates(weights, capacity)
    return sum(w * hit for w, hit in zip(weights, hits, strict=True)) / sum(weights)


def lru_hit_rates(weights: Sequence[float], capacity: float) -> list[float]:
    """Return the hit rate of each key in an LRU cache with room for `capacity` keys.

    A key stays for a time that is nearly the same for all: the one in which `capacity` keys are requested.
    What is missed goes to a cache behind it with weights `weight x (1 - hit rate)`.
    (Che, Tung and Wang, Hierarchical Web Caching Systems, 2002.)"""
    total = sum(weights)
    share = [w / total for w in weights]
    if not 0 < capacity < len(share):
        raise ValueError(f"capacity is {capacity:g}: use more than 0 and less than the number of keys")
    low, high = 0.0, 1.0
    while sum(1 - exp(-p * high) for p in share) < capacity:
        high *= 2
        if high > 1e18:
            raise ValueError(f"capacity is {capacity:g}: fewer keys than that have a weight above 0")
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(1 - exp(-p * middle) for p in share) < capacity else (low, middle)
    return [1 - exp(-p * high) for p in share]


def dns_spread(weights: Sequence[float], share: float = 0.5) -> float:
    """Return the standard deviation of an address's load, of a mean of `share`, when resolvers of these
    weights each send all their clients to what they were told.

    sqrt(p (1-p) sum w^2): as if so many, 1 / sum w^2, equal ones drew lots."""
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share:g}: use a share from 0 to 1")
    total = sum(weights)
    return sqrt(share * (1 - share) * sum((w / total) ** 2 for w in weights))


def ttl_hit_rate(rates: Sequence[float], lifetime: float) -> float:
    """Return the hit rate of a cache with room for all, and entries that are fresh for `lifetime` seconds.

    `rates`: of the requests of each key, which are Poisson. After each miss, rate x lifetime requests hit.
    (Jung, Berger and Balakrishnan, Modeling TTL-based Internet Caches, 2003.)"""
    return sum(r * (r * lifetime) / (1 + r * lifetime) for r in rates) / sum(rates)
