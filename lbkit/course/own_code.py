"""A learner's code: its source, what it defines, and in a sentence what went wrong, with the line."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from types import CodeType
from typing import Any

from lbkit.core.contract import AlgorithmError, Overtime
from lbkit.core.text import CONTROL
from lbkit.course.limits import TOO_MANY_THREADS, TOO_MUCH_MEMORY
from lbkit.course.task import NotDefined

MODULE = "solution"  # the name of the module that the code is
NOT_WRITTEN = "it is not written yet"
MAGIC = "magics and commands (%, !, ?) work in other cells of the notebook only"
ALONE = "all that it needs, its imports too, has to stand in the code itself"
KEEP = "keep the base class and the methods that the task gave it"
MENDS = {  # by what an error says
    "name 'get_ipython' is not defined": MAGIC,
    "NameError: name ": ALONE,
    "BdbQuit": "take `breakpoint()` out: nothing can be typed here",
}
LONGEST = 200  # characters of an error's own message


def compiled(source: str, name: str) -> CodeType:
    """Return the learner's code; a traceback can show its lines. Raises SyntaxError, ValueError."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec", dont_inherit=True)


def namespace(code: CodeType, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run the learner's code, which may use `names`; return these and what it defines."""
    made: dict[str, Any] = {**(names or {}), "__name__": MODULE, "__builtins__": __builtins__}
    exec(code, made)
    return made


def fault(error: BaseException, name: str) -> str:
    """Return what happened in a sentence, with the line of the learner's code where it did."""
    if isinstance(error, SyntaxError):
        line, text = f"line {error.lineno}" if error.lineno else "it", (error.text or "").strip()
        mend = f"; {MAGIC}" if text.startswith(("%", "!")) or text.endswith("?") else ""
        return f"{line} is not Python: {error.msg}" + (f": `{shortened(text)}`" if text else "") + mend
    if isinstance(error, MemoryError):
        return TOO_MUCH_MEMORY
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return TOO_MANY_THREADS  # their stacks do not fit into the memory there is for it
    if isinstance(error, Overtime):
        return f"it did not return, and was interrupted{_where(error, name)}: is there an endless loop?"
    if isinstance(error, SystemExit):
        return f"the code called sys.exit{_where(error, name)}"
    if isinstance(error, EOFError):
        return f"the code asked for input, and nothing can be typed here{_where(error, name)}"
    if isinstance(error, NotImplementedError):
        return f"{NOT_WRITTEN}{_where(error, name)}"
    if isinstance(error, AlgorithmError):
        if unwritten(error):
            return f"{NOT_WRITTEN}, in {error.place.removesuffix(f' in {MODULE}')}"
        source = f": `{shortened(error.source)}`" if error.source else ""
        return f"{shortened(error.what)}; {error.place}{source}{_also(error.what)}"
    if isinstance(error, NotDefined):
        return str(error)
    said = shortened(f"{type(error).__name__}: {error}".rstrip(": "))
    if _lines(error, name):
        return f"it raised {said}{_where(error, name)}{_also(said)}"
    lacking = isinstance(error, AttributeError) and type(error.obj).__module__ == MODULE
    if lacking or "argument" in said:  # of a call as the task has it
        return f"used as the task says, it led to {said}; {KEEP}"
    return f"what it returned led to {said}"


def mend_for(said: str) -> str:
    """Return what to do about an error that does not say it itself, or ""."""
    return next((mend for sign, mend in MENDS.items() if sign in said), "")


def _also(said: str) -> str:
    return f"; {mend}" if (mend := mend_for(said)) else ""


def shortened(text: str) -> str:
    """Return a text on one line, and its beginning only if it is long."""
    line = CONTROL.sub("", " ".join(text.split()))
    return line if len(line) <= LONGEST else line[:LONGEST] + " ..."


def _lines(error: BaseException, name: str) -> list[int]:
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines


def _where(error: BaseException, name: str) -> str:
    if not (lines := _lines(error, name)):
        return ""
    source = linecache.getline(name, lines[-1]).strip()
    return f", in line {lines[-1]}: `{source}`"


def unwritten(error: BaseException) -> bool:
    """Return whether an error says that code is not written yet."""
    if isinstance(error, AlgorithmError):
        return "raised NotImplementedError" in error.what
    return isinstance(error, NotImplementedError)
