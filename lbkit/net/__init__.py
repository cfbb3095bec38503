"""The real data plane: proxies on sockets. They pick through `lbkit.core.Pool`, so every algorithm works."""

from lbkit.net.proxy import Limits, Proxy, ProxyError, Timeouts

__all__ = ["Limits", "Proxy", "ProxyError", "Timeouts"]
