"""The balancing algorithms, a family a module. Importing this registers them all."""

from lbkit.core.balance.base import Balancer, algorithms, make_balancer
from lbkit.core.balance.chance import PowerOfTwo, Random
from lbkit.core.balance.hashing import ConsistentHash, IPHash
from lbkit.core.balance.load import LeastConnections, LeastResponseTime
from lbkit.core.balance.rotation import RoundRobin, WeightedRoundRobin

__all__ = [
    "Balancer",
    "ConsistentHash",
    "IPHash",
    "LeastConnections",
    "LeastResponseTime",
    "PowerOfTwo",
    "Random",
    "RoundRobin",
    "WeightedRoundRobin",
    "algorithms",
    "make_balancer",
]
