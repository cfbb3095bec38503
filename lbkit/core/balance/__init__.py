"""The balancing algorithms, one family a module. Importing this package registers them all.

==================================  =================================================================
family                              module
==================================  =================================================================
round robin, weighted round robin   round_robin
first available                     first_available
random, weighted random             weighted_random
least connections                   least_connections
least response time, peak EWMA      response_time
power of two choices                power_of_two
join the idle queue                 join_idle_queue
load reports and probes (Prequal)   load_reports
modulo hashing, IP hash             modulo_hash
consistent hashing, bounded loads   consistent_hash
Maglev hashing                      maglev
rendezvous hashing (HRW)            rendezvous
jump consistent hash                jump_hash
zone aware routing, cross-zone      zone_aware
geographic, with fences             geographic
priority levels, failover           priority_levels
subsetting, deterministic aperture  subsetting
those of programs                   programs.nginx, programs.haproxy, programs.httpd, programs.caddy
==================================  =================================================================

`base` has the base class and the registry, `grouped` the base class of algorithms that choose a group of
backends first; core/hashing.py has the hash functions.
"""

from lbkit.core.balance.base import Balancer, Why, algorithms, forget, make_balancer
from lbkit.core.balance.consistent_hash import BoundedHash, ConsistentHash, MultiProbe
from lbkit.core.balance.first_available import FirstAvailable
from lbkit.core.balance.geographic import Geographic
from lbkit.core.balance.join_idle_queue import JoinIdleQueue
from lbkit.core.balance.jump_hash import JumpHash
from lbkit.core.balance.least_connections import LeastConnections, WeightedLeastConnections
from lbkit.core.balance.load_reports import ChoiceOfTwo, ClientSideWeighted, Prequal
from lbkit.core.balance.maglev import Maglev
from lbkit.core.balance.modulo_hash import IPHash, ModuloHash
from lbkit.core.balance.power_of_two import PowerOfChoices, PowerOfTwo
from lbkit.core.balance.priority_levels import PriorityLevels
from lbkit.core.balance.programs.caddy import CaddyLeastConnections, CaddyRandomChoose
from lbkit.core.balance.programs.haproxy import (
    FastRoundRobin,
    HaproxyLeastConnections,
    HaproxyMap,
    HaproxyRandom,
    HaproxyRing,
)
from lbkit.core.balance.programs.httpd import ByBusyness, ByTraffic
from lbkit.core.balance.programs.nginx import NginxHash, NginxIPHash, NginxLeastConnections, NginxRing
from lbkit.core.balance.rendezvous import Rendezvous
from lbkit.core.balance.response_time import LeastResponseTime, PeakEWMA
from lbkit.core.balance.round_robin import (
    ConsecutiveRoundRobin,
    EarliestDeadline,
    InterleavedRoundRobin,
    RoundRobin,
    StaticRoundRobin,
    WeightedRoundRobin,
)
from lbkit.core.balance.subsetting import Subset
from lbkit.core.balance.weighted_random import AnomalyMitigation, Random, WeightedRandom
from lbkit.core.balance.zone_aware import CrossZone, LocalityWeighted, ZoneAware

__all__ = [
    "AnomalyMitigation",
    "Balancer",
    "BoundedHash",
    "ByBusyness",
    "ByTraffic",
    "CaddyLeastConnections",
    "CaddyRandomChoose",
    "ChoiceOfTwo",
    "ClientSideWeighted",
    "ConsecutiveRoundRobin",
    "ConsistentHash",
    "CrossZone",
    "EarliestDeadline",
    "FastRoundRobin",
    "FirstAvailable",
    "Geographic",
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
    "forget",
    "make_balancer",
]
