"""Elastic Load Balancing as experiments: ALB, NLB and GWLB with the defaults of AWS's manuals.

`alb`, `nlb` and `gwlb` return an Experiment, which runs on any engine that can do it. `alb_policy`,
`nlb_policy` and `gwlb_policy` return a target group's attributes as a Policy, and `listener` the rules of an
ALB's listener as a Routing. `nlb_settings` returns the settings of a real proxy at layer 4.
"""

from lbkit.aws.alb import alb, alb_policy, app_cookie, lb_cookie, listener, target_group
from lbkit.aws.attributes import ALB_CHECKS, DEREGISTRATION_DELAY, GWLB_CHECKS, NLB_CHECKS, fail_open_below
from lbkit.aws.nlb import gwlb, gwlb_policy, nlb, nlb_policy, nlb_settings

__all__ = [
    "ALB_CHECKS",
    "DEREGISTRATION_DELAY",
    "GWLB_CHECKS",
    "NLB_CHECKS",
    "alb",
    "alb_policy",
    "app_cookie",
    "fail_open_below",
    "gwlb",
    "gwlb_policy",
    "lb_cookie",
    "listener",
    "nlb",
    "nlb_policy",
    "nlb_settings",
    "target_group",
]
