"""What was it? `diagnose(result)` names what the figures of a run show, with the evidence."""

from lbkit.diagnosis.diagnose import Diagnosis, diagnose
from lbkit.diagnosis.finding import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
