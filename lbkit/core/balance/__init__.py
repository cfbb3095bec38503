"""The balancing algorithms, a family a module. Importing this registers them all."""

from lbkit.core.balance.base import Balancer, algorithms, make_balancer
from lbkit.core.balance.chance import PowerOfChoices, PowerOfTwo, Random, WeightedRandom
from lbkit.core.balance.hashing import (
    BoundedHash,
    ConsistentHash,
    IPHash,
    JumpHash,
    Maglev,
    MultiProbe,
    Rendezvous,
)
from lbkit.core.balance.load import JoinIdleQueue, LeastConnections, LeastResponseTime, PeakEWMA
from lbkit.core.balance.rotation import (
    ConsecutiveRoundRobin,
    EarliestDeadline,
    FirstAvailable,
    InterleavedRoundRobin,
    RoundRobin,
    WeightedRoundRobin,
)

__all__ = [
    "Balancer",
    "BoundedHash",
    "ConsecutiveRoundRobin",
    "ConsistentHash",
    "EarliestDeadline",
    "FirstAvailable",
    "IPHash",
    "InterleavedRoundRobin",
    "JoinIdleQueue",
    "JumpHash",
    "LeastConnections",
    "LeastResponseTime",
    "Maglev",
    "MultiProbe",
    "PeakEWMA",
    "PowerOfChoices",
    "PowerOfTwo",
    "Random",
    "Rendezvous",
    "RoundRobin",
    "WeightedRandom",
    "WeightedRoundRobin",
    "algorithms",
    "make_balancer",
]
