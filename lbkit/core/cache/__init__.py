"""A shared HTTP cache without I/O: what may be stored and served, and which request goes to the origin.

part                                          module
header fields, directives, tags and dates     fields
what may be stored, and for how long          rules
a stored response: age and freshness          entry
the table of them, bounded in bytes           store
conditional requests and 304                  validation
parts of a stored response                    ranges
the decisions on requests and responses       cache
one request to the origin instead of many     flights
the field Cache-Status                        status
"""

from lbkit.core.cache.cache import ERRORS, Cache, Forward, Lookup, Verdict
from lbkit.core.cache.entry import OVERHEAD, Stored
from lbkit.core.cache.fields import Directives, Fields, Request, Response
from lbkit.core.cache.flights import FlightRules, Flights, Landing, Role
from lbkit.core.cache.ranges import Part, part
from lbkit.core.cache.rules import CacheRules, why_not_stored
from lbkit.core.cache.status import cache_status
from lbkit.core.cache.validation import not_modified, of_a_304, to_origin

__all__ = [
    "ERRORS",
    "OVERHEAD",
    "Cache",
    "CacheRules",
    "Directives",
    "Fields",
    "FlightRules",
    "Flights",
    "Forward",
    "Landing",
    "Lookup",
    "Part",
    "Request",
    "Response",
    "Role",
    "Stored",
    "Verdict",
    "cache_status",
    "not_modified",
    "of_a_304",
    "part",
    "to_origin",
    "why_not_stored",
]
