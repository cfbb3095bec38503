"""The families of algorithms, as a menu lists them."""

from __future__ import annotations

from lbkit.core import Balancer

OWN = "your own"
KIT = "lbkit.core.balance."

# Family -> the modules of lbkit.core.balance that have its algorithms.
FAMILIES: dict[str, tuple[str, ...]] = {
    OWN: (),
    "in turns": ("round_robin",),
    "at random": ("weighted_random",),
    "by requests in flight": ("least_connections", "power_of_two", "join_idle_queue"),
    "by latency and reported load": ("response_time", "load_reports"),
    "equal keys to one server": ("consistent_hash", "maglev", "rendezvous", "jump_hash", "modulo_hash"),
    "some servers first": ("first_available", "priority_levels", "zone_aware", "geographic", "subsetting"),
    "as nginx does": ("programs.nginx",),
    "as HAProxy does": ("programs.haproxy",),
    "as Apache and Caddy do": ("programs.httpd", "programs.caddy"),
}


def family(algorithm: type[Balancer]) -> str:
    """Return an algorithm's family; OWN for one that is not of the kit."""
    module = algorithm.__module__.removeprefix(KIT)
    return next((name for name, modules in FAMILIES.items() if module in modules), OWN)


def one_line(algorithm: type[Balancer]) -> str:
    """Return the first line of an algorithm's docstring, as plain text."""
    return (algorithm.__doc__ or "").strip().partition("\n")[0].replace("`", "")
