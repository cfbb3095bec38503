"""lbkit's TCP proxy as the load balancer of a live experiment: layer 4."""

from __future__ import annotations

from typing import Any

import attrs

from lbkit.core import AnyPool
from lbkit.core.key import key_of
from lbkit.experiment import Experiment, Policy
from lbkit.live.front import LOOPBACK, OwnProxy
from lbkit.net import ConfigError
from lbkit.net.config import Layer4Config
from lbkit.net.l4.tcp_config import TcpRules
from lbkit.net.layer4 import layer4_proxy
from lbkit.run import EngineError

NOTE = "layer 4: connections are balanced, not requests, and no request is sent again"


class OwnRelay(OwnProxy):
    """lbkit's TCP proxy, in a thread of this process."""

    def __init__(self, experiment: Experiment) -> None:
        """Raises EngineError for what the TCP proxy does not have."""
        super().__init__(experiment)
        try:
            self._config()
        except ConfigError as error:
            raise EngineError(str(error)) from None

    def _start(self, pool: AnyPool) -> None:
        relay = layer4_proxy(attrs.evolve(self._config(), listen="127.0.0.1:0"), pool)
        relay.faults.print_algorithms = False  # the Result reports them
        self._proxy = relay.start()

    def _config(self) -> Layer4Config:
        """Return the experiment as the configuration of `lbkit proxy`."""
        layer4, policy = self.experiment.layer4, self.experiment.policy
        return Layer4Config(
            "tcp",
            self._backend_configs(),
            policy=attrs.evolve(policy, options=dict(policy.options)),
            tcp=TcpRules(accept_proxy=LOOPBACK if layer4 and layer4.proxy_protocol else ()),
        )

    def switch(self, policy: Policy) -> None:
        self._in_pool(lambda pool: policy.switch(pool, self._stream))
        self.proxy.key = key_of(attrs.evolve(self._config(), policy=policy).key)

    untold = "A layer 4 proxy sees connections: no status codes and no durations of requests."

    def watch(self) -> None:
        """It relays connections, and sees no requests."""

    def _counts(self) -> dict[str, Any]:
        return {"connections": self.proxy.accepted}

    def _notes(self) -> list[str]:
        return [NOTE]
