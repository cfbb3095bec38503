"""How good are a lab's checks? A right solution is changed a little, again and again: do the checks notice?

`python labs/mutants.py [LAB ...]` prints, for each lab, the share of changed solutions that a check notices,
and those that none does. A survivor means that a check is missing, or that the change is right as well: these
are listed with the reason in survivors.md. It fails if there are others.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from lbkit.course import Lab, all_labs, find_lab
from lbkit.course.sandbox import run_checks

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min"}
SECONDS = 4.0  # of processor time that a check may take: a right solution takes less than half of it
AT_ONCE = 4  # changed solutions: some only wait
REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Delete, ast.Raise)

Change = Callable[[ast.AST], None]


def changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """Yield what can be changed about one node: a description, and a function that does it."""

    def swap(field: str, index: int | None = None) -> Change:
        def change(target: ast.AST) -> None:
            if index is None:
                setattr(target, field, SWAPS[type(getattr(target, field))]())
            else:
                operators = getattr(target, field)
                operators[index] = SWAPS[type(operators[index])]()

        return change

    match node:
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                if type(operator) in SWAPS:
                    yield f"{type(operator).__name__} is {SWAPS[type(operator)].__name__}", swap("ops", i)
        case ast.BinOp() | ast.AugAssign() | ast.BoolOp() if type(node.op) in SWAPS:
            yield f"{type(node.op).__name__} is {SWAPS[type(node.op)].__name__}", swap("op")
        case ast.Constant(value=bool(value)):
            yield f"{value} is {not value}", lambda target: setattr(target, "value", not value)
        case ast.Constant(value=int(value) | float(value)):
            yield f"{value} is {value + 1}", lambda target: setattr(target, "value", value + 1)
        case ast.Name(id=name) if name in NAMES:
            yield f"{name} is {NAMES[name]}", lambda target: setattr(target, "id", NAMES[name])
        case ast.UnaryOp(op=ast.Not()):
            yield "no not", lambda target: setattr(target, "op", ast.UAdd())
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield "returns None", lambda target: setattr(target, "value", ast.Constant(None))
        case ast.If() | ast.While():
            if isinstance(node, ast.If):
                yield "always", lambda target: setattr(target, "test", ast.Constant(True))
            yield "never", lambda target: setattr(target, "test", ast.Constant(False))


def removed(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """Yield the removal of each statement of a block that is not its only one."""
    for block in ("body", "orelse"):
        statements = getattr(node, block, None)
        for i, statement in enumerate(statements if isinstance(statements, list) else ()):
            docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, REMOVED) and not docstring:

                def change(target: ast.AST, block: str = block, i: int = i) -> None:
                    getattr(target, block)[i] = ast.Pass()

                yield f"without `{ast.unparse(statement)}`", change


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Yield the line with the change, and the changed source; only between the solution's marks."""
    lines = source.splitlines()
    begins = [n for n, line in enumerate(lines, 1) if "### BEGIN SOLUTION" in line]
    ends = [n for n, line in enumerate(lines, 1) if "### END SOLUTION" in line]
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        for what, change in (*changes(node), *removed(node)):
            changed = deepcopy(tree)
            target = next(other for i, other in enumerate(ast.walk(changed)) if i == number)
            change(target)
            line = getattr(node, "lineno", 0)
            if any(begin < line < end for begin, end in zip(begins, ends, strict=True)):
                yield f"`{lines[line - 1].strip()}` | {what}", ast.unparse(ast.fix_missing_locations(changed))


def survives(lab: Lab, source: str) -> bool:
    """Return whether all checks pass. One that fails is enough, and a change that hangs ends soon."""
    checks = [replace(check, seconds=min(check.seconds, SECONDS)) for check in lab.task.checks.values()]
    run = run_checks(lab.checks_file, checks, source, "mutant.py", until_failed=True)
    return not run.problem and all(result["passed"] for result in run.results)


def listed(lab: Lab) -> set[str]:
    """Return the changes of this lab that are right as well: those of survivors.md."""
    text = Path(__file__).with_name("survivors.md").read_text()
    part = re.search(rf"^## {lab.name}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^- (`.+` \| .+) \| .+$", part[1], re.MULTILINE)) if part else set()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("labs", nargs="*", metavar="LAB")
    wanted, new = parser.parse_args(arguments).labs, 0
    for lab in [find_lab(name) for name in wanted] or all_labs():
        made = list(mutants((lab.source / "solution.py").read_text()))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            alive = list(pool.map(survives, [lab] * len(made), (changed for _, changed in made)))
        killed = len(made) - sum(alive)
        print(f"{lab.name}: {killed} of {len(made)} noticed ({killed / len(made):.0%})", flush=True)
        right = listed(lab)
        for (what, _), lives in zip(made, alive, strict=True):
            if lives:
                print(f"  survives{', as listed' if what in right else ''}: {what}", flush=True)
                new += what not in right
    return min(new, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
