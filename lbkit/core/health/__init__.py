"""Health: state machines that say whether a backend should get requests. Time comes in as an argument."""

from lbkit.core.health.breaker import Breaker, BreakerRules, BreakerState
from lbkit.core.health.checks import CheckRules, CheckState, Health
from lbkit.core.health.max_fails import MaxFails, MaxFailsRules
from lbkit.core.health.outliers import OutlierDetector, OutlierRules
from lbkit.core.health.probe import Probe
from lbkit.core.health.watch import HealthRules, Watch
from lbkit.core.state_change import StateChange

__all__ = [
    "Breaker",
    "BreakerRules",
    "BreakerState",
    "CheckRules",
    "CheckState",
    "Health",
    "HealthRules",
    "MaxFails",
    "MaxFailsRules",
    "OutlierDetector",
    "OutlierRules",
    "Probe",
    "StateChange",
    "Watch",
]
