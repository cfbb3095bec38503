"""What is written for readers: each block of code is run or says why not, each command is one, each link
leads somewhere. Blocks of Python and of commands are run by test_readme.py and test_site.py."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import typer
from pages import ROOT, Block, all_blocks, well_formed
from typer.exceptions import TyperException

from lbkit.cli import app

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs/pages").rglob("*.md"))]  # their code is run
OTHERS = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]  # of these, commands are read
BOOKS = [*sorted((ROOT / "notebooks").rglob("*.ipynb")), *sorted((ROOT / "labs").glob("*/*.ipynb"))]
LINKING = [*OTHERS, ROOT / "CHANGELOG.md", *(ROOT / "notebooks").glob("*.md"), *BOOKS]
LINKING += [*(ROOT / "labs").glob("*.md"), *(ROOT / "labs").glob("*/*.md")]
SHOWN = ("mermaid", "nginx", "toml", "json", "text", "{toctree}", "{eval-rst}")  # languages that do nothing
NOT_RUN = 10  # blocks with a reason; more of them need a better one


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """Return the text of a page, or of a notebook's cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    book = json.loads(path.read_text(encoding="utf-8"))
    return "\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")


# -- code ------------------------------------------------------------------------------------


def why_wrong(command: str) -> str:
    """Return why a line for a shell cannot work, "" if it can; "not known" is what no test can judge."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    match words:
        case []:
            return ""
        case [".", activate]:
            return "" if activate == ".venv/bin/activate" else "not known"
        case ["make", *rest]:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return "" if any(word in targets for word in rest) else "no such target"
        case ["python", "-m", module, *_] if module.startswith("benchmarks."):
            return "" if find_spec(module) else "no such module"
        case [tool, *_] if tool.startswith(".venv/bin/"):
            installed = tool.removeprefix(".venv/bin/")
            return "" if f'"{installed}>=' in (ROOT / "pyproject.toml").read_text() else "not installed"
        case ["lbkit", *arguments]:
            return why_no_command(arguments)
    return "not known"


def why_no_command(arguments: list[str]) -> str:
    """Return what is wrong with the arguments of lbkit, by its own parser: files need not exist."""
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    group = cast(Any, typer.main.get_command(app))
    if not arguments or arguments[0].startswith("-"):
        return "" if set(arguments) <= {"--help", "--version"} else "no such option"
    command = group.commands.get(arguments[0])
    if command is None:
        return f"no command {arguments[0]}"
    try:
        parser = command.make_parser(typer.Context(command, info_name=arguments[0]))
        parser.parse_args(arguments[1:])
    except TyperException as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=name)
def test_each_block_is_run_or_read_or_says_why_not(path: Path) -> None:
    """Mark a block that cannot be run: `<!-- not run: the reason -->` in the line before it."""
    wrong = [
        (block.language, line, why)
        for block in all_blocks(path.read_text(encoding="utf-8"))
        for line, why in unready(block)
    ]
    assert wrong == []


def unready(block: Block) -> list[tuple[str, str]]:
    """Return the lines of a block that a test cannot run, each with the reason."""
    if block.reason or block.language in ("python", *SHOWN):
        return []
    if block.language not in ("sh", "bash", "shell", "console"):
        return [(block.code.partition("\n")[0], f"nothing is known about {block.language or 'no language'}")]
    lines = re.sub(r"\\\n", " ", block.code).splitlines()
    return [(line, why) for line in lines if (why := why_wrong(line))]


def test_few_blocks_are_not_run() -> None:
    reasons = [
        (name(path), block.reason)
        for path in PAGES
        for block in all_blocks(path.read_text(encoding="utf-8"))
        if block.reason
    ]
    assert len(reasons) <= NOT_RUN, reasons


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lbkit compare --load 0.9", ""),
        ("lbkit comprae", "no command comprae"),
        ("lbkit compare --lod 0.9", "--lod"),
        ("make lab", ""),
        ("make lunch", "no such target"),
        ("python -m benchmarks.sim", ""),
        ("python -m benchmarks.nothing", "no such module"),
        ("rm -rf things", "not known"),
        ("A=1 make test  # everything", ""),
    ],
)
def test_a_line_for_a_shell_is_judged(line: str, says: str) -> None:
    assert says in why_wrong(line)
    assert bool(says) is bool(why_wrong(line))


@pytest.mark.parametrize("path", [*PAGES, *LINKING], ids=name)
def test_the_commands_that_a_text_names_exist(path: Path) -> None:
    named = [command.replace('\\"', '"') for command in re.findall(r"`lbkit ([^`\n]*)`", prose(path))]
    said = {command: why_no_command(shlex.split(command)) for command in named if "|" not in command}
    assert {command: why for command, why in said.items() if why} == {}


# -- links -----------------------------------------------------------------------------------

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings: as on GitHub, and as in Jupyter."""
    titles = re.findall(r"^#+ +(.*?)\s*$", re.sub(r"^```.*?^```", "", prose(path), flags=re.M | re.S), re.M)
    plain = [re.sub(r"[`*]|\[|\]\([^)]*\)", "", title) for title in titles]
    hyphened = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in plain}
    return hyphened | {title.replace(" ", "-") for title in plain}


def target_of(link: str, path: Path) -> Path:
    """Return the file that a link leads to. Notebooks and labs are written for a learner's workbook, in which
    the folder of the labs is beside the notebooks."""
    there = (path.parent / link).resolve()
    if not there.exists() and path.is_relative_to(ROOT / "labs"):
        there = ROOT / "notebooks" / there.relative_to(ROOT)
    if not there.exists() and path.is_relative_to(ROOT / "notebooks"):
        there = ROOT / there.relative_to(ROOT / "notebooks")
    return there


@pytest.mark.parametrize("path", [README, *LINKING], ids=name)
def test_links_lead_to_files_and_to_headings_in_them(path: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", prose(path))):
        file, _, anchor = link.partition("#")
        target = target_of(file, path) if file else path
        if "://" in link:
            if not well_formed(link):
                broken.append(link)
        elif not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []
