"""The balancing algorithms, a family a module. Importing this registers them all."""

from lbkit.core.balance.base import Balancer, Why, algorithms, make_balancer
from lbkit.core.balance.chance import AnomalyMitigation, PowerOfChoices, PowerOfTwo, Random, WeightedRandom
from lbkit.core.balance.grouped import CrossZone, LocalityWeighted, PriorityLevels, Subset, ZoneAware
from lbkit.core.balance.haproxy import HaproxyLeastConnections, HaproxyMap, HaproxyRandom, HaproxyRing
from lbkit.core.balance.hashing import (
    IPHash,
    JumpHash,
    Maglev,
    ModuloHash,
    MultiProbe,
    Rendezvous,
)
from lbkit.core.balance.httpd import ByBusyness, ByTraffic
from lbkit.core.balance.informed import ChoiceOfTwo, ClientSideWeighted, Prequal
from lbkit.core.balance.load import (
    JoinIdleQueue,
    LeastConnections,
    LeastResponseTime,
    PeakEWMA,
    WeightedLeastConnections,
)
from lbkit.core.balance.nginx import NginxHash, NginxIPHash, NginxLeastConnections, NginxRing
from lbkit.core.balance.ring import BoundedHash, ConsistentHash
from lbkit.core.balance.rotation import (
    ConsecutiveRoundRobin,
    EarliestDeadline,
    FastRoundRobin,
    FirstAvailable,
    InterleavedRoundRobin,
    RoundRobin,
    StaticRoundRobin,
    WeightedRoundRobin,
)

__all__ = [
    "AnomalyMitigation",
    "Balancer",
    "BoundedHash",
    "ByBusyness",
    "ByTraffic",
    "ChoiceOfTwo",
    "ClientSideWeighted",
    "ConsecutiveRoundRobin",
    "ConsistentHash",
    "CrossZone",
    "EarliestDeadline",
    "FastRoundRobin",
    "FirstAvailable",
    "HaproxyLeastConnections",
    "HaproxyMap",
    "HaproxyRandom",
    "HaproxyRing",
    "IPHash",
    "InterleavedRoundRobin",
    "JoinIdleQueue",
    "JumpHash",
    "LeastConnections",
    "LeastResponseTime",
    "LocalityWeighted",
    "Maglev",
    "ModuloHash",
    "MultiProbe",
    "NginxHash",
    "NginxIPHash",
    "NginxLeastConnections",
    "NginxRing",
    "PeakEWMA",
    "PowerOfChoices",
    "PowerOfTwo",
    "Prequal",
    "PriorityLevels",
    "Random",
    "Rendezvous",
    "RoundRobin",
    "StaticRoundRobin",
    "Subset",
    "WeightedLeastConnections",
    "WeightedRandom",
    "WeightedRoundRobin",
    "Why",
    "ZoneAware",
    "algorithms",
    "make_balancer",
]
