"""Real systems' rules for attempts and for circuit breakers, with the defaults that their manuals give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from lbkit.core.health import BreakerRules, HealthRules
from lbkit.core.retry import AttemptTimeouts, Backoff, Retry, RetryBudgetRules
from lbkit.core.text import did_you_mean


def retry(system: str) -> Retry:
    """Return the rules for attempts of a real system, for `Policy.retry`. Raises ValueError for any other.

    The number of attempts is `Policy.retries`.

    - `envoy`: a retry policy's pauses, of 25 ms and at most ten times that with full jitter, and a route's
      timeout, 15 s. Its num_retries is 1. Which answers are retried has no default (retry_on): `statuses`.
      https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter
      https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto
    - `finagle`: a budget of 20 % of the requests of the last 10 s, and 10 retries a second.
      https://twitter.github.io/finagle/guide/Clients.html
    - `nginx`: proxy_connect_timeout and proxy_read_timeout, 60 s. (The latter is between two reads; here,
      until the first byte.) With proxy_request_buffering, bodies up to client_max_body_size, 1 MiB, are kept.
      https://nginx.org/en/docs/http/ngx_http_proxy_module.html
    - `haproxy`: what is retried after it was sent has to fit into a buffer, of 16384 bytes; timeouts have no
      defaults. Its retry-on is conn-failure by default, and its pauses are between attempts at one server.
      https://docs.haproxy.org/2.6/configuration.html#4.2-retry-on
    - `hystrix`: a command may take 1 s (execution.isolation.thread.timeoutInMilliseconds); it has no retries.
      https://github.com/Netflix/Hystrix/wiki/Configuration
    - `resilience4j`: a pause of 500 ms, always the same; its maxAttempts is 3, so `retries` is 2.
      https://resilience4j.readme.io/docs/retry
    """
    return _of(
        system,
        {
            "envoy": Retry(backoff=Backoff(0.025, 0.25), deadline=15.0),
            "finagle": Retry(budget=RetryBudgetRules(0.2, 10.0, 10.0)),
            "nginx": Retry(timeouts=AttemptTimeouts(connect=60.0, first_byte=60.0), buffer=1 << 20),
            "haproxy": Retry(buffer=16384),
            "hystrix": Retry(timeouts=AttemptTimeouts(total=1.0)),
            "resilience4j": Retry(backoff=Backoff(0.5, 0.5, jitter="none")),
        },
    )


def breaker(system: str) -> HealthRules:
    """Return the circuit breaker of a real system, for `Policy.health`. Raises ValueError for any other.

    A breaker guards a backend here; in these systems it guards what an application calls by one name, which
    may be several backends.

    - `hystrix`: half of at least 20 requests in 10 s open it, and after 5 s one is tried. Its thread pools,
      of 10, are left out: a bulkhead is `max_in_flight`.
      https://github.com/Netflix/Hystrix/wiki/Configuration
    - `resilience4j`: half of the last 100 calls, or all of them slower than 60 s; after 60 s ten are tried,
      which are judged by the same shares.
      https://resilience4j.readme.io/docs/circuitbreaker
    - `pybreaker`: 5 failures in a row (fail_max), and after 60 s (reset_timeout) one call is tried.
      https://github.com/danielfm/pybreaker
    - `envoy`: what it calls a circuit breaker bounds what is under way, so it is a bulkhead: 1024 requests
      (max_requests), in Envoy for all backends of a cluster together. Its max_retries, 3 at a time, is not
      modelled; what takes backends out for their failures is outlier detection (`OutlierRules`).
      https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto
    """
    of_calls = BreakerRules(
        failure_rate=0.5, minimum=100, calls=100, slow_rate=1.0, slow_after=60.0, open_for=60.0, probes=10
    )
    in_a_row = BreakerRules(failure_rate=0.0, consecutive=5, open_for=60.0, probes=1)
    return _of(
        system,
        {
            "hystrix": HealthRules(
                breaker=BreakerRules(failure_rate=0.5, minimum=20, window=10.0, open_for=5.0, probes=1)
            ),
            "resilience4j": HealthRules(breaker=of_calls),
            "pybreaker": HealthRules(breaker=in_a_row),
            "envoy": HealthRules(max_in_flight=1024),
        },
    )


Rules = TypeVar("Rules", Retry, HealthRules)


def _of(system: str, rules: Mapping[str, Rules]) -> Rules:
    if system not in rules:
        near = did_you_mean(str(system), rules)
        raise ValueError(f"no rules for {system!r}: there are {', '.join(rules)}{near}")
    return rules[system]
