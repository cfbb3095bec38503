"""The contract of an algorithm, and the error that says where an algorithm breaks it."""

from __future__ import annotations

import dis
import linecache
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from types import CodeType, FunctionType, TracebackType
from typing import Any

from mypy_extensions import mypyc_attr

# What the methods of a Balancer and of a Limiter have to do; the engines call no others.
CONTRACT = {
    "pick": "pick(backends, key, now) returns one of `backends`, and does not wait",
    "pick_except": "pick_except(backends, exclude, key, now) returns one of `backends` not in `exclude`",
    "probe_targets": "probe_targets(backends, now) returns a sequence of backends out of `backends`",
    "step": "step(state, now, cost) returns the state after the request, or None for a denial",
    "explain": "explain(backends, key, now) returns a Why",
    "done": "done(backend, latency, ok, now) returns without an error",
}


class Overtime(BaseException):
    """Raised inside an algorithm that has not returned in time, to interrupt it.

    It is no Exception, so that `except Exception` in the algorithm does not catch it."""

    def __str__(self) -> str:
        return "an algorithm has not returned in time"


Line = tuple[str, int]  # the name of a file, and a line in it

# What a call of an algorithm may raise. `exit()` in it would end the event loop that it is called in.
FAILURES = (Exception, Overtime, SystemExit)


def check_name(cls: type) -> None:
    """Raise ValueError for a class that cannot be known by its `name`."""
    name = getattr(cls, "name")  # noqa: B009 - mypy knows of none
    if not isinstance(name, str) or not name:
        raise ValueError(f"{cls.__name__}.name is {name!r}: use a text, such as {cls.__name__.lower()!r}")


@mypyc_attr(native_class=False)
class AlgorithmError(RuntimeError):
    """An algorithm broke its contract. The message is one line; notebooks show it as four.

    `what` it did, `place` and `source`: the line of its code, `contract`: what it should do;
    `endless`: whether it had to be interrupted. All are strings but the last."""

    def __init__(
        self, algorithm: str, what: str, place: str, source: str, contract: str, endless: bool = False
    ) -> None:
        super().__init__(algorithm, what, place, source, contract, endless)  # so that it can be pickled
        self.algorithm = algorithm
        self.what = what
        self.place = place
        self.source = source
        self.contract = contract
        self.endless = endless
        self.__suppress_context__ = True  # compiled code does not do what `raise ... from None` says

    def __str__(self) -> str:
        source = f" (`{self.source}`)" if self.source else ""
        return f"{self.what}; {self.place}{source}. The contract: {self.contract}."

    def again(self) -> AlgorithmError:
        """Return the same error without a traceback."""
        return type(self)(*self.args)

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in place of a traceback through lbkit."""
        return [
            f"{type(self).__name__}: {self.what}",
            f"  {self.place}",
            *([f"    {self.source}"] if self.source else []),
            f"  The contract: {self.contract}.",
        ]


def method_failed(algorithm: Any, method: str, error: BaseException) -> AlgorithmError:
    """Return the error for a method of an algorithm that raised `error`, or was interrupted by Overtime."""
    if isinstance(error, AlgorithmError):
        return error.again()
    endless = isinstance(error, Overtime)
    if endless:
        what = "did not return, and was interrupted"
    else:
        what = f"raised {type(error).__name__}: {error}".rstrip(": ")
    return _error(algorithm, method, what, _own_line(error.__traceback__), endless)


def wrong_pick(algorithm: Any, method: str, picked: object, tried: bool = False) -> AlgorithmError:
    """Return the error for a pick that is no eligible backend, or one that a retry has `tried` before."""
    what = f"returned {picked!r:.60}"
    if picked is None:
        what += " (is a `return` missing?)"
    elif isinstance(picked, str | int):
        what += ", which is no backend: return the backend itself"
    elif isinstance(picked, Coroutine | AsyncGenerator | Generator):
        kind = "`def`, not `async def`" if isinstance(picked, Coroutine) else "`return`, not `yield`"
        what = f"returned a {type(picked).__name__.replace('_', ' ')}: write {kind}"
    elif tried:
        what += ", which the request has tried already"
    else:
        what += ", which is not among `backends`"
    return _error(algorithm, method, what, _only_return(algorithm, method))


def wrong_why(algorithm: Any, method: str, why: object) -> AlgorithmError:
    """Return the error for an explanation that is no Why."""
    mend = ': return `Why("...")`' if isinstance(why, str) else ""
    what = f"returned {why!r:.60}, which is no Why{mend}"
    return _error(algorithm, method, what, _only_return(algorithm, method))


def _error(
    algorithm: Any, method: str, what: str, where: Line | None, endless: bool = False
) -> AlgorithmError:
    cls = algorithm if isinstance(algorithm, type) else type(algorithm)
    if where := where or _definition(cls, method):
        file, line = where
        place, source = f"{_shown(file)}, line {line}", linecache.getline(file, line).strip()
    else:
        place, source = f"class {cls.__name__} in {cls.__module__}", ""
    contract = CONTRACT.get(method, f"{method}() returns without an error")
    return AlgorithmError(algorithm.name, f"{cls.__name__}.{method} {what}", place, source, contract, endless)


def of_lbkit(namespace: dict[str, Any]) -> bool:
    """Return whether globals are those of one of lbkit's own modules."""
    return str(namespace.get("__name__", "")).partition(".")[0] == "lbkit"


def _own_line(trace: TracebackType | None) -> Line | None:
    """Return the innermost line of the learner's file in a traceback; None if there is no such file.

    The file is the first on the way that is not lbkit's: the innermost line may be in a library."""
    found: Line | None = None
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if found[0] == file if found else not of_lbkit(trace.tb_frame.f_globals):
            found = file, trace.tb_lineno
        trace = trace.tb_next
    return found


def _definition(cls: type, method: str) -> Line | None:
    """Return the first line of a method; None for one that a learner's class has from lbkit."""
    function = getattr(cls, method, None)
    if not isinstance(function, FunctionType):
        return None
    if of_lbkit(function.__globals__) and not cls.__module__.startswith("lbkit."):
        return None
    return function.__code__.co_filename, function.__code__.co_firstlineno


def _only_return(algorithm: Any, method: str) -> Line | None:
    """Return the line of a method's only return; None if it has several."""
    code = getattr(getattr(algorithm, method), "__code__", None)
    if not isinstance(code, CodeType):
        return None
    returns = {step.offset for step in dis.get_instructions(code) if step.opname.startswith("RETURN_")}
    lines = {line for start, end, line in code.co_lines() if any(start <= at < end for at in returns)}
    line = lines.pop()
    return (code.co_filename, line) if line and not lines else None


def _shown(file: str) -> str:
    """Return the name of a file; of a notebook's cell, the name that the notebook shows."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    cell = shell.compile.format_code_name(file) if shell else None
    return " ".join(cell) if cell else file
