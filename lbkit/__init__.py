"""lbkit: learn load balancing by doing it."""

from lbkit.core import Backend, Balancer, Intent, Lease, NoBackend, Pool, algorithms, make_balancer
from lbkit.distributions import (
    Bimodal,
    Closed,
    Constant,
    ConstantRate,
    Exponential,
    LogNormal,
    OnOff,
    Pareto,
    Poisson,
    Trace,
)
from lbkit.experiment import Action, Event, Experiment, ExperimentError, Policy, Server, Traffic, servers
from lbkit.result import Result
from lbkit.run import EngineError, compare, run, why_not

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Backend",
    "Balancer",
    "Bimodal",
    "Closed",
    "Constant",
    "ConstantRate",
    "EngineError",
    "Event",
    "Experiment",
    "ExperimentError",
    "Exponential",
    "Intent",
    "Lease",
    "LogNormal",
    "NoBackend",
    "OnOff",
    "Pareto",
    "Poisson",
    "Policy",
    "Pool",
    "Result",
    "Server",
    "Trace",
    "Traffic",
    "algorithms",
    "compare",
    "make_balancer",
    "run",
    "servers",
    "why_not",
]
