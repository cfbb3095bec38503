"""Checks of the lab "The same server again"."""

from lbkit.course import Task

task = Task(
    title="The same server again",
    module="the_same_server_again",
    defines=("StickyCookie",),
    minutes=60,
    difficulty=2,
    before="notebook 04, up to the cookie of the balancer",
)

from . import checks_reading, checks_secrecy, checks_setting  # each adds its checks to the task
