"""Laws of performance: few assumptions, and so good checks of anything that is measured.

They hold for a proxy, a server, a shop with a counter. None of them has parameters to tune: if a measurement
breaks Little's law, the measurement is wrong.
"""

from lbkit.laws.queues import in_system, utilisation
from lbkit.laws.scaling import Fit, Scalability, fit_scalability
from lbkit.laws.tails import share_for_pages, slower_pages

__all__ = [
    "Fit",
    "Scalability",
    "fit_scalability",
    "in_system",
    "share_for_pages",
    "slower_pages",
    "utilisation",
]
