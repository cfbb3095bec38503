"""Checks of the lab "Breaker and shedding"."""

from lbkit.course import Task

task = Task(
    title="Breaker and shedding",
    module="breaker_and_shedding",
    defines=("Breakers", "Shedder"),
    minutes=75,
    difficulty=2,
    before="notebook 07b, up to what ends a storm",
)

from . import checks_breaker, checks_shedding  # each adds its checks to the task
