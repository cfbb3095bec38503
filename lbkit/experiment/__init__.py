"""An experiment as data: servers, traffic, policy, events and a seed.

`experiment` has the table of its fields and its files, `traffic` the requests, `conflicts` the rules between
fields. The other parts are modules of their own, such as `lbkit.server`, `lbkit.policy` and `lbkit.events`.
"""

from lbkit.checks import ExperimentError
from lbkit.events import Action, Event, Failures
from lbkit.experiment.experiment import (
    Experiment,
    check_experiment,
    geography_from_dict,
    geography_to_dict,
    server_from_dict,
    server_to_dict,
)
from lbkit.experiment.traffic import Traffic
from lbkit.layer4 import Layer4
from lbkit.mix import RequestKind
from lbkit.patience import Patience
from lbkit.policy import Policy, Stream
from lbkit.server import Server, servers

__all__ = [
    "Action",
    "Event",
    "Experiment",
    "ExperimentError",
    "Failures",
    "Layer4",
    "Patience",
    "Policy",
    "RequestKind",
    "Server",
    "Stream",
    "Traffic",
    "check_experiment",
    "geography_from_dict",
    "geography_to_dict",
    "server_from_dict",
    "server_to_dict",
    "servers",
]
