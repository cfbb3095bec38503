"""The modes of `lbkit proxy`: http, tcp and udp; each has its settings and its proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbkit.core import AnyPool
from lbkit.core.text import shown
from lbkit.net.config import ConfigError, Layer4Config, ProxyConfig
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.l4.udp import UdpProxy
from lbkit.net.layer4 import layer4_proxy
from lbkit.net.proxy import Proxy
from lbkit.schema import load_file

AnyConfig = ProxyConfig | Layer4Config
AnyProxy = Proxy | TcpProxy | UdpProxy


def config_of(data: Mapping[str, Any]) -> AnyConfig:
    """Return the settings in plain data; its `mode` says which fields there are.

    Raises ConfigError with a line for every wrong field."""
    mode = data.get("mode", "http") if isinstance(data, Mapping) else "http"
    if mode not in ("http", "tcp", "udp"):
        raise ConfigError(f"mode is {shown(mode)}: use http, tcp or udp")
    return (ProxyConfig if mode == "http" else Layer4Config).from_dict(data)


def load_config(path: str | Path) -> AnyConfig:
    """Return the settings in a TOML file. Raises ConfigError, also for a file that cannot be read."""
    try:
        return load_file(path, config_of, ConfigError, "TOML")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def proxy_of(config: AnyConfig, pool: AnyPool) -> AnyProxy:
    """Return the proxy that carries out the settings."""
    return Proxy(pool, config) if isinstance(config, ProxyConfig) else layer4_proxy(config, pool)
