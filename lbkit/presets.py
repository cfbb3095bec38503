"""Real systems' load balancing as policies, with the defaults that their manuals give.

`presets.nginx()` is nginx without any directive, `presets.nginx("ip_hash")` nginx with that directive: the
names are those of the system itself. A preset is a plain Policy: it runs wherever a policy runs.

`presets.retry("envoy")` has what a system documents of attempts, for `Policy.retry`, and
`presets.breaker("hystrix")` its circuit breaker, for `Policy.health`. Health checks, stickiness and
connection limits are not in the presets of policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from attrs import evolve

from lbkit.core import SlowStart
from lbkit.core.options import number
from lbkit.core.text import did_you_mean
from lbkit.experiment import Policy
from lbkit.rule_presets import breaker, retry

__all__ = [
    "SYSTEMS",
    "apache",
    "aws_alb",
    "aws_gwlb",
    "aws_nlb",
    "breaker",
    "caddy",
    "envoy",
    "haproxy",
    "nginx",
    "retry",
    "traefik",
]

ALL_OTHERS = 100  # retries, where a system tries as many servers as there are
FAIL_OPEN = 1e-6  # panic only when no backend is healthy
UNLIMITED = 1_000_000  # choices or places: more than there are servers


def _choose(system: str, policies: Mapping[str, Policy], which: str) -> Policy:
    if which not in policies:
        raise ValueError(
            f"{system} has no {which!r}: there are {', '.join(policies)}{did_you_mean(which, policies)}"
        )
    return policies[which]


def nginx(balance: str = "round_robin") -> Policy:
    """Open source nginx, by the directive of its `upstream` block. Raises ValueError for any other.

    - The default is weighted round robin, the smooth kind. `ip_hash` looks at three octets of an IPv4
      address; `hash_consistent` is a ketama ring with 160 points a unit of weight; `random_two` compares
      connections.
      https://nginx.org/en/docs/http/ngx_http_upstream_module.html
    - Retries: proxy_next_upstream is `error timeout`, proxy_next_upstream_tries 0, which is no limit.
      https://nginx.org/en/docs/http/ngx_http_proxy_module.html
    - Each worker counts for itself unless there is a `zone`: `balancers` is worker_processes, 1 by default.
      https://nginx.org/en/docs/ngx_core_module.html
    - Not modelled: after a failure nginx lowers a server's effective weight, which recovers by one a turn.
      Each worker of nginx starts its turns at the first server; with several `balancers`, ours do not.
    """
    names = {
        "round_robin": Policy("weighted_round_robin", retries=ALL_OTHERS),
        "least_conn": Policy("nginx_least_connections", retries=ALL_OTHERS),
        "ip_hash": Policy("nginx_ip_hash", retries=ALL_OTHERS),
        "hash": Policy("nginx_hash", key="uri", retries=ALL_OTHERS),
        "hash_consistent": Policy("nginx_ring", key="uri", retries=ALL_OTHERS),
        "random": Policy("weighted_random", retries=ALL_OTHERS),
        "random_two": Policy("power_of_choices", {"choices": 2, "weighted": True}, retries=ALL_OTHERS),
        "least_time": Policy("least_response_time", {"decay": inf}, retries=ALL_OTHERS),
    }
    return _choose("nginx", names, balance)


def haproxy(balance: str = "random", slow_start: float = 0.0) -> Policy:
    """HAProxy, by the word after `balance`. Raises ValueError for any other.

    - The default is random(2) since 3.3, and was roundrobin before; a hash is map-based, of function sdbm.
      `source_consistent` and `uri_consistent` are `hash-type consistent`, where keys are stirred by default;
      `uri_bounded` has `hash-balance-factor 150` (it is off unless set; 125 to 200 are advised).
      https://docs.haproxy.org/2.6/configuration.html#balance, #hash-type, #hash-balance-factor
    - Retries: 3, but to the same server unless `option redispatch` is set, so none to another.
      https://docs.haproxy.org/2.6/configuration.html#retries
    - `first` needs a maxconn a server; there is no default, 10 is the one of our algorithm.
    - Slow start: off; with a `slowstart` in seconds, the weight rises linearly. A server's maxconn
      rises, too, which is not modelled. static-rr, map-based hashes and first ignore it.
      https://docs.haproxy.org/2.6/configuration.html#5.2-slowstart
    """
    start = SlowStart(slow_start, floor=1 / 16) if slow_start else None
    if start and balance in ("static-rr", "first", "source", "uri"):
        raise ValueError(f"slow_start: HAProxy's {balance} ignores weights that change")

    def policy(algorithm: str, options: Mapping[str, object] | None = None, key: str = "") -> Policy:
        return Policy(algorithm, options or {}, key=key, retries=0, slow_start=start)

    names = {
        "random": policy("haproxy_random", {"draws": 2}),
        "roundrobin": policy("fast_round_robin"),
        "static-rr": policy("static_round_robin"),
        "leastconn": policy("haproxy_least_connections"),
        "first": policy("first_available"),
        "source": policy("haproxy_map", key="client"),
        "uri": policy("haproxy_map", key="path"),
        "source_consistent": policy("haproxy_ring", key="client"),
        "uri_consistent": policy("haproxy_ring", key="path"),
        "uri_bounded": policy("haproxy_ring", {"factor": 150}, key="path"),
    }
    return _choose("haproxy", names, balance)


def apache(lbmethod: str = "byrequests") -> Policy:
    """Apache httpd's mod_proxy_balancer, by its `lbmethod`. Raises ValueError for any other.

    - The default is byrequests, which is smooth weighted round robin by `loadfactor` (1 to 100).
      https://httpd.apache.org/docs/2.4/mod/mod_lbmethod_byrequests.html
    - Retries: `maxattempts` is one less than there are members.
      https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxypass
    """
    names = {
        "byrequests": Policy("weighted_round_robin", retries=ALL_OTHERS),
        "bytraffic": Policy("by_traffic", retries=ALL_OTHERS),
        "bybusyness": Policy("by_busyness", retries=ALL_OTHERS),
    }
    return _choose("apache", names, lbmethod)


def envoy(
    lb_policy: str = "round_robin", slow_start: float = 0.0, hash_balance_factor: int = 0, subset: str = ""
) -> Policy:
    """Envoy, by the name of its load balancing policy. Raises ValueError for any other.

    - The default is round robin, by weight as earliest deadline first. `least_request` compares two
      (choice_count 2) while weights are alike, `least_request_full_scan` all (selection_method FULL_SCAN);
      `least_request_weighted` is what it does otherwise, with active_request_bias 1.0. `maglev` has 65537
      slots. `ring_hash` has 1024 points for all hosts together, about 102 for each of ten.
      `client_side_weighted_round_robin` has blackout 10 s, expiry 180 s.
      https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers
    - Bounded loads: off; above 100, hash_balance_factor is the limit of each host, in percent of the
      average. Only with `ring_hash` here, where a request for a full host goes on clockwise. (In Envoy: in an
      order by the hash.)
      https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/load_balancing_policies/common/v3/common.proto
    - `subset` sends to the hosts with the metadata of a route: here, those in the zone `subset`. Without
      any of them, to all (fallback_policy ANY_ENDPOINT; its default is to fail).
      https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/subsets
    - Panic: under 50 % healthy. `priority` and `locality` have overprovisioning 1.4. A level of `priority`
      panics only when all levels together are not enough.
      https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
    - Slow start: off; with a window in seconds, aggression 1.0, at least 10 % of the weight.
      https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
    - Retries: none without a retry policy.
      https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter
    """
    start = SlowStart(slow_start) if slow_start else None

    def policy(algorithm: str, options: Mapping[str, object] | None = None) -> Policy:
        return Policy(algorithm, options or {}, retries=0, panic=0.5, slow_start=start)

    ring = policy("consistent_hash", {"points": 102})
    if hash_balance_factor:
        if lb_policy != "ring_hash" or hash_balance_factor <= 100:
            raise ValueError(f"hash_balance_factor is {hash_balance_factor}: use over 100, with ring_hash")
        ring = policy("bounded_hash", {"factor": hash_balance_factor / 100, "points": 102})
    names = {
        "round_robin": policy("earliest_deadline"),
        "least_request": policy("power_of_two"),
        "least_request_full_scan": policy("power_of_choices", {"choices": UNLIMITED}),
        "least_request_weighted": policy("weighted_least_connections", {"bias": 1.0}),
        "ring_hash": ring,
        "maglev": policy("maglev", {"slots": 65537}),
        "random": policy("weighted_random"),
        "client_side_weighted_round_robin": policy("client_side_weighted"),
        "priority": policy("priority_levels", {"inner": "earliest_deadline"}),
        "locality": policy("locality_weighted", {"inner": "earliest_deadline"}),
        # As if hardly any traffic started in that zone, so that nothing spills over from it.
        "subset": policy("zone_aware", {"home": subset, "share": 1e-6, "inner": "earliest_deadline"}),
    }
    return _choose("envoy", names, lb_policy)


def traefik(strategy: str = "wrr") -> Policy:
    """Traefik, by the `strategy` of its load balancer. Raises ValueError for any other.

    - The default is wrr, by earliest deadline first; p2c compares two, hrw hashes the client's address
      (rendezvous), leasttime takes response time x (1 + active) / weight.
      https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/service/
    - Retries: none without the retry middleware.
      https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/retry/
    """
    names = {
        "wrr": Policy("earliest_deadline", retries=0),
        "p2c": Policy("power_of_two", retries=0),
        "hrw": Policy("rendezvous", key="client", retries=0),
        "leasttime": Policy("least_response_time", {"decay": inf}, retries=0),
    }
    return _choose("traefik", names, strategy)


def caddy(lb_policy: str = "random", field: str = "X-Upstream") -> Policy:
    """Caddy, by its `lb_policy`. Raises ValueError for any other.

    - The default is random; random_choose takes 2; weighted_round_robin takes turns in a row; every hash is
      rendezvous, that of `header` of the header `field`, which has no default. With `cookie` a client
      returns to the server that its cookie `lb` names: here, by a hash of it.
      https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#load-balancing
    - Retries: lb_retries 0 and lb_try_duration 0, so none. (The same page.)
    """
    names = {
        "random": Policy("random", retries=0),
        "random_choose": Policy("power_of_choices", {"choices": 2}, retries=0),
        "first": Policy("first_available", {"limit": UNLIMITED}, retries=0),
        "round_robin": Policy("round_robin", retries=0),
        "weighted_round_robin": Policy("consecutive_round_robin", retries=0),
        "least_conn": Policy("least_connections", retries=0),
        "ip_hash": Policy("rendezvous", key="client", retries=0),
        "uri_hash": Policy("rendezvous", key="uri", retries=0),
        "header": Policy("rendezvous", key=f"header:{field}", retries=0),
        "cookie": Policy("rendezvous", key="cookie:lb", retries=0),
    }
    return _choose("caddy", names, lb_policy)


def aws_alb(algorithm: str = "round_robin", slow_start: float = 0.0) -> Policy:
    """AWS Application Load Balancer, by load_balancing.algorithm.type. Raises ValueError for any other.

    - The default is round_robin; weighted_random is random here, and with anomaly mitigation as
      `weighted_random_mitigated`. Cross-zone is on. Slow start: off, or 30 to 900 s in a line; not for the
      other two algorithms.
      https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    - Fail open: with under 1 healthy target (the default), all get traffic. (Target group health, there.)
    """
    number(0, slow_start=slow_start)
    if slow_start and not 30 <= slow_start <= 900:
        raise ValueError(f"slow_start is {slow_start:g}: ALB takes 0 (off) or 30 to 900 seconds")
    if slow_start and algorithm != "round_robin":
        raise ValueError(f"slow_start: ALB has none with {algorithm}, only with round_robin")
    names = {
        "round_robin": Policy("round_robin", retries=0, panic=FAIL_OPEN),
        "least_outstanding_requests": Policy("least_connections", retries=0, panic=FAIL_OPEN),
        "weighted_random": Policy("weighted_random", retries=0, panic=FAIL_OPEN),
        "weighted_random_mitigated": Policy("anomaly_mitigation", retries=0, panic=FAIL_OPEN),
    }
    if slow_start:
        # Plain turns ignore weights; weighted ones are the same while all weights are equal.
        start = SlowStart(slow_start, floor=1 / 100)
        return Policy("weighted_round_robin", retries=0, panic=FAIL_OPEN, slow_start=start)
    return _choose("aws_alb", names, algorithm)


def aws_nlb(cross_zone: bool = False) -> Policy:
    """AWS Network Load Balancer: a hash of the flow, so connection by connection.

    - The hash is of protocol, addresses, ports and TCP sequence number.
      https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html
    - Cross-zone is off unless asked for: each zone's share stays in the zone. (The same page.)
    - Fail open when no target is healthy. (Target group health, NLB guide.)
    """
    options = {"across": cross_zone, "inner": "modulo_hash"}
    return Policy("cross_zone", options, key="flow", retries=0, panic=FAIL_OPEN)


def aws_gwlb(cross_zone: bool = False, stickiness: int = 5) -> Policy:
    """AWS Gateway Load Balancer: flows stick to appliances, by a hash of five fields. Raises ValueError.

    - Flow stickiness is by 5-tuple unless set to 3 (both addresses and the protocol) or 2 (both addresses):
      with one destination and one protocol, as here, both are by the client's address. GENEVE is in
      lbkit.net.geneve.
      https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/edit-target-group-attributes.html
    - Cross-zone is off unless asked for. (Same guide, getting started.)
    """
    if stickiness not in (5, 3, 2):
        raise ValueError(f"stickiness is {stickiness}: GWLB takes a 5-, 3- or 2-tuple")
    return evolve(aws_nlb(cross_zone), key="flow" if stickiness == 5 else "client")


SYSTEMS = {
    "nginx": nginx,
    "haproxy": haproxy,
    "apache": apache,
    "envoy": envoy,
    "traefik": traefik,
    "caddy": caddy,
    "aws_alb": aws_alb,
    "aws_nlb": aws_nlb,
    "aws_gwlb": aws_gwlb,
}
