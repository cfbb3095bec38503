"""Checks of the lab "A ring"."""

from lbkit.course import Task

task = Task(
    title="A ring",
    module="ring",
    defines=("Ring",),
    beside=("position", "ByPath"),
    minutes=60,
    difficulty=2,
    before="notebook 03, up to consistent hashing; lab 02",
)

from . import checks_keys, checks_loads  # each adds its checks to the task
