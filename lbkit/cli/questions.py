"""`lbkit questions`: an exam or a discussion sheet from the question bank."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import check_can_write, reported


class Form(StrEnum):
    """What can be written; the names of lbkit.course.bank.FORMATS."""

    MARKDOWN = "markdown"
    HTML = "html"
    GIFT = "gift"


TITLE = "Questions on load balancing"
ENDS = {Form.MARKDOWN: ".md", Form.HTML: ".html", Form.GIFT: ".gift"}


def command(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(help="Notebooks, such as 03 or 07b, or names of questions; all by default."),
    ] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seed", help="Of the numbers, such as a student's name; several: a sheet each."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="GIFT is what Moodle imports.")] = Form.MARKDOWN,
    answers: Annotated[
        bool, typer.Option("--answers", help="With answers, and what each wrong one stands for.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", help="Instead of printing it; for several seeds, a folder.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--list", help="Only the names of the questions, and their kinds.")
    ] = False,
) -> None:
    """Draw questions from the bank, with the numbers of a seed; the kit computes the answers.

    \b
    [bold]Examples[/]
      lbkit questions --list
      lbkit questions 03 05 --seed ann --format html -o ann.html
      lbkit questions 03 05 --seed ann --answers
      lbkit questions 03 05 --seed ann --seed bob --format html -o sheets
      lbkit questions --format gift -o moodle.gift
    """
    from lbkit.course.bank import export, find_questions, variants

    with reported():
        found = find_questions(wanted or [])
        several = len(seeds or []) > 1 and not names
        if output and not several:
            check_can_write(output)
        drawn = {seed: variants(found, seed) for seed in seeds or ["1"]} if not names else {}
        if several:
            sheets = {name: export(drawn[name], form.value, answers, f"{TITLE}: {name}") for name in drawn}
            write_all(sheets, output, f"-answers{ENDS[form]}" if answers else ENDS[form])
            return
        if names:
            text = "\n".join(f"{question.name:36}{question.kind}" for question in found)
        else:
            (asked,) = drawn.values()
            text = export(asked, form.value, answers, TITLE)
        if output:
            output.write_text(text + "\n", encoding="utf-8")
        else:
            typer.echo(text)


def write_all(texts: dict[str, str], folder: Path | None, end: str) -> None:
    """Write a file for each seed, and say which. Raises ValueError, OSError."""
    if not folder:
        raise ValueError("-o: several sheets need a folder")
    for seed in texts:
        if seed in (".", "..") or Path(seed).name != seed:
            raise ValueError(
                f"--seed {seed}: no name of a file, which it has to be for one of several sheets"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for seed, text in texts.items():
        (folder / f"{seed}{end}").write_text(text + "\n", encoding="utf-8")
        typer.echo(folder / f"{seed}{end}")
