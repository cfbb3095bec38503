"""Layers of balancers as a ready experiment, and what happens when one of its nodes breaks.

`what_if(six_layers(), "zone-1a")` breaks a zone: which layer notices, after how long, and what is lost?

textbook    six layers, from the name server down to the servers
breaking    one node, or each node, broken during a run
"""

from lbkit.topology.breaking import Broken, BrokenEach, Notice, break_each, what_if
from lbkit.topology.textbook import six_layers

__all__ = ["Broken", "BrokenEach", "Notice", "break_each", "six_layers", "what_if"]
