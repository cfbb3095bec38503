"""The chain of filters: which field of the settings switches each one on, and the order they stand in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lbkit.net.config import ProxyConfig
from lbkit.net.filters.access_log import AccessLogFilter
from lbkit.net.filters.admission import AdmissionFilter
from lbkit.net.filters.alt_svc import AltSvcFilter
from lbkit.net.filters.bandwidth import BandwidthFilter
from lbkit.net.filters.base import Filter, hooks
from lbkit.net.filters.cache import CacheFilter
from lbkit.net.filters.client_certificate import ClientCertificateFilter
from lbkit.net.filters.compress import CompressFilter
from lbkit.net.filters.explain import ExplainFilter, ExposeFilter
from lbkit.net.filters.firewall import firewall_filter
from lbkit.net.filters.hide import HideErrorsFilter, HideFilter
from lbkit.net.filters.https import HstsFilter, RedirectFilter
from lbkit.net.filters.mirror import MirrorFilter
from lbkit.net.filters.rate_limit import RateLimitFilter
from lbkit.net.filters.route import RouteFilter, ShownRouteFilter
from lbkit.net.filters.stats import StatsFilter
from lbkit.net.filters.sticky import StickyFilter
from lbkit.net.filters.trace import TraceFilter
from lbkit.net.http1.listener import Listener
from lbkit.net.service import Service
from lbkit.net.unattended import UnattendedExchanges

# A field of the config, and the filter that implements it; in the order in which requests pass the filters.
FILTERS: dict[str, Callable[[ProxyConfig], Filter]] = {
    "tracing": lambda config: TraceFilter(config.tracing, config.scheme, config.backends),  # type: ignore[arg-type]
    "access_log": lambda config: AccessLogFilter(config.access_log, config.access_log_format),
    "stats": lambda config: StatsFilter(),
    "https_redirect": lambda config: RedirectFilter(config.tls.public_port),  # type: ignore[union-attr]
    "hsts": lambda config: HstsFilter(config.hsts, config.tls.hsts_subdomains),  # type: ignore[union-attr]
    "http3": lambda config: AltSvcFilter(config.http3.public_port, config.http3.max_age),  # type: ignore[union-attr]
    "client_certificates": lambda config: ClientCertificateFilter(),
    "expose": lambda config: ExposeFilter(),
    "explain": lambda config: ExplainFilter(),
    "firewall": lambda config: firewall_filter(config.firewall, config.expose),  # type: ignore[arg-type]
    "routing": lambda config: _route_filter(config),
    "sticky": lambda config: StickyFilter(config.sticky, config.shared_sessions()),  # type: ignore[arg-type]
    "rate_limits": lambda config: RateLimitFilter(config.shared_or_own_limits()),
    "bandwidth": lambda config: BandwidthFilter(config.bandwidth),
    "compression": lambda config: CompressFilter(config.compression),  # type: ignore[arg-type]
    "hide": lambda config: HideFilter(config.hide),
    "hide_errors": lambda config: HideErrorsFilter(),
    # What is served from the cache is not admitted; what comes from backends is stored before it is changed.
    "cache": lambda config: CacheFilter(config.cache),  # type: ignore[arg-type]
    "admission": lambda config: AdmissionFilter(config.admission),  # type: ignore[arg-type]
    "mirrored": lambda config: MirrorFilter(config.mirrored),
}


def _route_filter(config: ProxyConfig) -> RouteFilter:
    assert config.routing
    return (ShownRouteFilter if config.explain or config.expose else RouteFilter)(config.routing)


def make_filters(config: ProxyConfig) -> dict[str, Filter]:
    """Return the filters that are switched on, by their fields, in the order of the chain."""
    return {field: build(config) for field, build in FILTERS.items() if getattr(config, field)}


def connect_filters(filters: Mapping[str, Filter], service: Service, listener: Listener) -> None:
    """Give the filters what they need of the proxy, and the proxy the hooks that they override."""
    chain = list(filters.values())
    unattended = UnattendedExchanges(service, listener, chain)
    for index, made in enumerate(chain):
        made.index = index
        made.fault = service.fault
        made.pool = service.pool
        made.unattended = unattended
        if isinstance(made, MirrorFilter):
            made.service = service
    service.filters = len(chain)
    for hook, methods in hooks(chain).items():
        setattr(service, hook, methods)
