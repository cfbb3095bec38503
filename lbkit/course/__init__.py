"""Labs that check themselves, and a learner's progress.

A lab's `task` (task.py) has checks; they run on the learner's code in a process of its own (sandbox.py,
child.py) and give a report (report.py). lab.py finds labs and the learner's code; notebook.py is a lab
inside a notebook.
"""

from lbkit.course.effort import seconds_each
from lbkit.course.histories import in_any_history
from lbkit.course.house import score
from lbkit.course.lab import Lab, all_labs, find_lab
from lbkit.course.leaderboard import kept
from lbkit.course.notebook import OpenLab, open_lab
from lbkit.course.overview import where_you_are
from lbkit.course.own_breakers import own_breakers
from lbkit.course.own_cookie import own_cookie
from lbkit.course.own_limiter import own_limiter
from lbkit.course.own_retry import Failed, own_retry
from lbkit.course.own_shedding import own_shedding
from lbkit.course.pictures import Shares, Steps, Times
from lbkit.course.prediction import predict
from lbkit.course.report import Report
from lbkit.course.second_process import elsewhere
from lbkit.course.task import Task, Wrong, expect

__all__ = [
    "Failed",
    "Lab",
    "OpenLab",
    "Report",
    "Shares",
    "Steps",
    "Task",
    "Times",
    "Wrong",
    "all_labs",
    "elsewhere",
    "expect",
    "find_lab",
    "in_any_history",
    "kept",
    "open_lab",
    "own_breakers",
    "own_cookie",
    "own_limiter",
    "own_retry",
    "own_shedding",
    "predict",
    "score",
    "seconds_each",
    "where_you_are",
]
