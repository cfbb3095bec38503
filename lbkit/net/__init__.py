"""The real data plane: proxies on sockets. They pick through `lbkit.core.Pool`, so every algorithm works."""

from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.l4.tcp_config import TcpConfig
from lbkit.net.l4.udp import UdpConfig, UdpProxy
from lbkit.net.proxy import Proxy
from lbkit.net.running import ProxyError
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.shared_store import SharedStore

__all__ = [
    "BackendConfig",
    "Bandwidth",
    "ConfigError",
    "Limits",
    "Proxy",
    "ProxyConfig",
    "ProxyError",
    "SharedStore",
    "TcpConfig",
    "TcpProxy",
    "Timeouts",
    "UdpConfig",
    "UdpProxy",
]
