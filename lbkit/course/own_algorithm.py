"""A learner's source as an algorithm, or what is wrong with it in a sentence.

The watchdog guards what is called from here; labs run their code in a process that can be ended instead."""

from __future__ import annotations

import lbkit
from lbkit.core import Balancer
from lbkit.core.contract import AlgorithmError
from lbkit.course.own_code import MODULE, compiled, fault, mend_for, namespace, unwritten
from lbkit.watchdog import guard


class CodeError(ValueError):
    """Code that defines no algorithm: what is wrong, with its line."""


def algorithm_in(source: str, name: str) -> type[Balancer]:
    """Return the algorithm that the source of a file called `name` defines: the last one of several.

    It is run as if it began with `from lbkit import *`, and interrupted if it finds no end.
    Raises CodeError."""
    guard()
    try:
        made = namespace(compiled(source, name), {each: getattr(lbkit, each) for each in lbkit.__all__})
    except BaseException as error:  # whatever a learner's code raises
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CodeError(told(error, name)) from None
    own = [each for each in made.values() if isinstance(each, type) and issubclass(each, Balancer)]
    own = [each for each in own if each.__module__ == MODULE and not each.__name__.startswith("_")]
    if not own:
        raise CodeError(f"{name} defines no algorithm: it begins with `class Mine(Balancer):`")
    return own[-1]


def told(error: BaseException, name: str) -> str:
    """Return what went wrong with an algorithm: with the contract that it broke, if it broke one."""
    if isinstance(error, AlgorithmError) and not unwritten(error):
        mend = mend_for(error.what)
        return f"{error} {mend[0].upper()}{mend[1:]}." if mend else str(error)
    return f"{name}: {fault(error, name)}."
