"""Checks of the lab "Four and seven": a client, the learner's code and a backend on real sockets."""

from lbkit.course import Task

task = Task(
    title="Four and seven",
    module="four_and_seven",
    defines=("relay", "proxy"),
    minutes=180,
    difficulty=3,
    before="notebooks 01 and 02, and Python's asyncio streams",
)

from . import checks_four, checks_seven, checks_seven_bodies, checks_seven_connections  # each adds its checks to the task
