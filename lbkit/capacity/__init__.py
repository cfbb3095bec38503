"""Capacity planning: how many servers does an objective need, at more traffic than today's?"""

from lbkit.capacity.capacity import Capacity, Step
from lbkit.capacity.plan import servers_needed
from lbkit.capacity.scaled import scaled, with_servers

__all__ = ["Capacity", "Step", "scaled", "servers_needed", "with_servers"]
