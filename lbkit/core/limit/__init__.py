"""Rate limiters, one family a module. Importing this package registers them all.

family                                            module
token bucket, leaky bucket, GCRA, nginx limit_req  bucket
fixed window, sliding log, sliding window counter  window
concurrency limits: fixed, AIMD, gradient          concurrency
several limits on one key, hierarchical limits     several
"""

from lbkit.core.limit.base import Decision, Limiter, limiters, make_limiter, play
from lbkit.core.limit.bucket import GCRA, LeakyBucket, LeakyQueue, NginxLimit, TokenBucket
from lbkit.core.limit.concurrency import AIMD, ConcurrencyLimit, Gradient, InFlight
from lbkit.core.limit.several import Hierarchy, Several
from lbkit.core.limit.window import FixedWindow, SlidingCounter, SlidingLog

__all__ = [
    "AIMD",
    "GCRA",
    "ConcurrencyLimit",
    "Decision",
    "FixedWindow",
    "Gradient",
    "Hierarchy",
    "InFlight",
    "LeakyBucket",
    "LeakyQueue",
    "Limiter",
    "NginxLimit",
    "Several",
    "SlidingCounter",
    "SlidingLog",
    "TokenBucket",
    "limiters",
    "make_limiter",
    "play",
]
