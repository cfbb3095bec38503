"""lbkit: learn load balancing by doing it."""

from lbkit.extensions import compiled, document, install

install()  # first, as it decides which modules the imports below find: readable or compiled ones

from lbkit import presets
from lbkit.arrivals import Burst, Closed, ConstantRate, OnOff, Poisson, Profile, Sessions, Trace
from lbkit.caching import Caching
from lbkit.compare import compare
from lbkit.compression import Compression
from lbkit.core import (
    AlgorithmError,
    Backend,
    Balancer,
    Intent,
    Lease,
    NoBackend,
    Pool,
    Replicas,
    SlowStart,
    Why,
    algorithms,
    forget,
    make_balancer,
)
from lbkit.core.cache import CacheRules, FlightRules
from lbkit.core.drain import DrainRules
from lbkit.core.health import (
    BreakerRules,
    CheckRules,
    HealthRules,
    MaxFailsRules,
    OutlierRules,
    Probe,
    StateChange,
)
from lbkit.core.retry import AttemptTimeouts, Backoff, Fallback, Hedge, Retry, RetryBudgetRules
from lbkit.core.rollout import RollingDeploy
from lbkit.core.shedding import AdmissionControlRules
from lbkit.core.sticky import Sticky
from lbkit.core.traffic_shift import BlueGreen, Canary
from lbkit.distributions import Bimodal, Constant, Empirical, Exponential, LogNormal, Pareto
from lbkit.edge import Admission, RateLimit
from lbkit.experiment import (
    Action,
    Event,
    Experiment,
    ExperimentError,
    Failures,
    Layer4,
    Patience,
    Policy,
    RequestKind,
    Server,
    Traffic,
    servers,
)
from lbkit.firewall import FirewallRules
from lbkit.geography import Geography
from lbkit.needs import why_not
from lbkit.replicate import Comparison, Replication, replicate
from lbkit.result import Result
from lbkit.run import EngineError, notes, render, run
from lbkit.sweep import SweepError, sweep
from lbkit.tier import Tier
from lbkit.tls import Tls

document()

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Admission",
    "AdmissionControlRules",
    "AlgorithmError",
    "AttemptTimeouts",
    "Backend",
    "Backoff",
    "Balancer",
    "Bimodal",
    "BlueGreen",
    "BreakerRules",
    "Burst",
    "CacheRules",
    "Caching",
    "Canary",
    "CheckRules",
    "Closed",
    "Comparison",
    "Compression",
    "Constant",
    "ConstantRate",
    "DrainRules",
    "Empirical",
    "EngineError",
    "Event",
    "Experiment",
    "ExperimentError",
    "Exponential",
    "Failures",
    "Fallback",
    "FirewallRules",
    "FlightRules",
    "Geography",
    "HealthRules",
    "Hedge",
    "Intent",
    "Layer4",
    "Lease",
    "LogNormal",
    "MaxFailsRules",
    "NoBackend",
    "OnOff",
    "OutlierRules",
    "Pareto",
    "Patience",
    "Poisson",
    "Policy",
    "Pool",
    "Probe",
    "Profile",
    "RateLimit",
    "Replicas",
    "Replication",
    "RequestKind",
    "Result",
    "Retry",
    "RetryBudgetRules",
    "RollingDeploy",
    "Server",
    "Sessions",
    "SlowStart",
    "StateChange",
    "Sticky",
    "SweepError",
    "Tier",
    "Tls",
    "Trace",
    "Traffic",
    "Why",
    "algorithms",
    "compare",
    "compiled",
    "forget",
    "make_balancer",
    "notes",
    "presets",
    "render",
    "replicate",
    "run",
    "servers",
    "sweep",
    "why_not",
]
