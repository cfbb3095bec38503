"""The notebooks of the site: copies in which cells that need sockets or processes say what they would do."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "jupyter-lite.json"  # in the folder of each site
KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}

TO_A_LAB = re.compile(r"\[([^\]]*)\]\(labs/[^)]*\)")  # there are no labs in the site

# What a cell does on real processes, by what is found in its code, in this order.
DOES = {
    r"\bLocalFleet\(": "starts servers",
    r"\b(socketserver|http\.server|create_server)\b": "starts a server of its own",
    r"\bRedisServer\(": "starts a Redis",
    r"\bDnsServer\(": "starts a DNS server",
    r"\bLiveSession\(": "starts servers, lbkit's proxy and clients",
    r"\b\w*Proxy\(": "puts lbkit's proxy in front",
    r"\bmake_certificates\(": "makes certificates",
    r"\brun\(.*on=": "runs the experiment on real processes",
    r"\brender\(": "writes the configuration of a real program",
    r"\bassert\b|\b(print|display|show)\(|\bfigures\.": "shows and checks what real processes did",
}


def check_folder(site: Path) -> None:
    """Raise SystemExit for a folder with anything but a site in it: it would be deleted."""
    if site.exists() and not (site / MARK).is_file() and any(site.iterdir()):
        raise SystemExit(f"{site} is no site that was made here: give --to an empty folder, or a new one")


def copy_notebooks(source: Path, target: Path) -> None:
    """Copy a folder with notebooks, changed for browsers, and the texts beside them."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(source).parts):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            copy.write_text(json.dumps(for_browsers(json.loads(path.read_text())), indent=1))
        elif path.suffix == ".md":
            shutil.copyfile(path, copy)


def for_browsers(book: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with JupyterLite's kernel, and cells that print what is left out there."""
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    flags = found_by_why_not(["".join(cell["source"]) for cell in code])
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = TO_A_LAB.sub(r"\1", "".join(cell["source"]))
    for cell in code:
        cell["source"] = explained("".join(cell["source"]), flags)
    return book | {"metadata": book["metadata"] | {"kernelspec": KERNEL}}


def found_by_why_not(sources: list[str]) -> set[str]:
    """Return the names that say what this machine has: `live = not why_not("live")`, and what follows."""
    flags = {"why_not"}
    for source in sources:
        for step in parsed(source):
            if isinstance(step, ast.Assign) and flags & names_in(step.value):
                flags |= {target.id for target in step.targets if isinstance(target, ast.Name)}
    return flags - {"why_not"}


def explained(source: str, flags: set[str]) -> str:
    """Return a cell in which each `if live:` without an `else` has one, which says what was left out."""
    lines = source.split("\n")
    for step in reversed(parsed(source)):
        if not isinstance(step, ast.If) or step.orelse or not is_flag(step.test, flags):
            continue
        body = "\n".join(lines[step.body[0].lineno - 1 : step.end_lineno])
        if words := what_it_does(body):
            said = f"not shown here; with make lab this cell {words}"
            lines[step.end_lineno : step.end_lineno] = ["else:", f"    print({json.dumps(said)})"]
    return "\n".join(lines)


def is_flag(test: ast.expr, flags: set[str]) -> bool:
    return isinstance(test, ast.Name | ast.BoolOp) and bool(flags & names_in(test))


def what_it_does(code: str) -> str:
    """Return what the code does on real processes, in a few words; nothing if it only defines."""
    steps = list(acts(parsed_body(code)))
    text = "\n".join(ast.unparse(step) for step in steps)
    return ", ".join(words for pattern, words in DOES.items() if re.search(pattern, text))


def acts(steps: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that do something now: not imports, functions and classes."""
    quiet = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return (step for step in steps if not isinstance(step, quiet))


def parsed(source: str) -> list[ast.stmt]:
    """Return the statements of a cell; none if it is not plain Python."""
    try:
        return compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).body
    except SyntaxError:
        return []


def parsed_body(code: str) -> list[ast.stmt]:
    return parsed(f"if True:\n{code}")[0].body


def names_in(expression: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
