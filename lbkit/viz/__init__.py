"""Figures of results, and widgets for notebooks. Needs the `lab` extra; imports no engine."""

from lbkit.viz import decisions, figures, limits
from lbkit.viz.catchment import catchment, internet_graph
from lbkit.viz.dashboard.widget import Dashboard
from lbkit.viz.engines import EngineSelector
from lbkit.viz.explorer import Explorer
from lbkit.viz.game_day_panel import GameDayPanel
from lbkit.viz.health_panel import HealthPanel
from lbkit.viz.layer_panel import LayerPanel
from lbkit.viz.limiter_panel import LimiterPanel
from lbkit.viz.live import LivePanel
from lbkit.viz.playground import Playground
from lbkit.viz.projector import projector
from lbkit.viz.rules import RuleExplorer
from lbkit.viz.scene import Scene, Step
from lbkit.viz.theatre.widget import Theatre
from lbkit.viz.topology import graph, topology
from lbkit.viz.world import world

__all__ = [
    "Dashboard",
    "EngineSelector",
    "Explorer",
    "GameDayPanel",
    "HealthPanel",
    "LayerPanel",
    "LimiterPanel",
    "LivePanel",
    "Playground",
    "RuleExplorer",
    "Scene",
    "Step",
    "Theatre",
    "catchment",
    "decisions",
    "figures",
    "graph",
    "internet_graph",
    "limits",
    "projector",
    "topology",
    "world",
]
