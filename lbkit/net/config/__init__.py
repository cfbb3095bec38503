"""The settings of a proxy as data: the file of `lbkit proxy config.toml`, or what an experiment needs.

`http` and `layer4` have the tables of fields, `backends` has what both share. `fields`: kinds of fields;
`conflicts`: fields that contradict each other; `shared`: what Redis holds. The class of a section, such as
`Caching`, is where its feature is.
"""

from lbkit.net.config.backends import BackendConfig, look_up
from lbkit.net.config.error import ConfigError
from lbkit.net.config.http import ProxyConfig
from lbkit.net.config.layer4 import Layer4Config

__all__ = ["BackendConfig", "ConfigError", "Layer4Config", "ProxyConfig", "look_up"]
