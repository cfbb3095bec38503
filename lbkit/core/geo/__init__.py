"""Around the world: where clients are, which region serves them, and how networks choose a path.

`Steering` is the decision; a DNS server, a global load balancer and the simulator ask the same one.
"""

from lbkit.core.geo.atlas import Atlas, Whereabouts
from lbkit.core.geo.earth import Place, distance, round_trip
from lbkit.core.geo.failover import DnsFailover, Resolvers
from lbkit.core.geo.flaps import sessions_broken
from lbkit.core.geo.region import NOWHERE, Location, Region, RegionState, location_of
from lbkit.core.geo.routes import Internet, Learned, NetworkRoute, catchments, moved
from lbkit.core.geo.steering import RULES, NoRegion, Steering

__all__ = [
    "NOWHERE",
    "RULES",
    "Atlas",
    "DnsFailover",
    "Internet",
    "Learned",
    "Location",
    "NetworkRoute",
    "NoRegion",
    "Place",
    "Region",
    "RegionState",
    "Resolvers",
    "Steering",
    "Whereabouts",
    "catchments",
    "distance",
    "location_of",
    "moved",
    "round_trip",
    "sessions_broken",
]
