"""Decisions without I/O: standard library only, no sockets, no clock, no logger.

Time comes in as `now` (seconds, any origin, never going back) and chance as a
`random.Random`. So the same object runs in the simulator and in the proxy.
"""

from lbkit.core.backend import Backend, Intent, NoBackend
from lbkit.core.balance import Balancer, Why, algorithms, forget, make_balancer
from lbkit.core.contract import AlgorithmError
from lbkit.core.pool import Lease, Pool
from lbkit.core.pool_set import AnyPool, PoolSet
from lbkit.core.replicas import Replicas
from lbkit.core.slow_start import SlowStart

__all__ = [
    "AlgorithmError",
    "AnyPool",
    "Backend",
    "Balancer",
    "Intent",
    "Lease",
    "NoBackend",
    "Pool",
    "PoolSet",
    "Replicas",
    "SlowStart",
    "Why",
    "algorithms",
    "forget",
    "make_balancer",
]
