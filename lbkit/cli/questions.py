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


def command(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(help="Notebooks, such as 03 or 07b, or names of questions; all by default."),
    ] = None,
    seed: Annotated[str, typer.Option(help="Of the numbers: a student's name gives each other ones.")] = "1",
    form: Annotated[Form, typer.Option("--format", help="GIFT is what Moodle imports.")] = Form.MARKDOWN,
    answers: Annotated[
        bool, typer.Option("--answers", help="With answers, and what each wrong one stands for.")
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", help="Instead of printing it.")] = None,
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
      lbkit questions --format gift -o moodle.gift
    """
    from lbkit.course.bank import export, find_questions, variants

    with reported():
        found = find_questions(wanted or [])
        if output:
            check_can_write(output)
        if names:
            text = "\n".join(f"{question.name:36}{question.kind}" for question in found)
        else:
            text = export(variants(found, seed), form.value, answers, title="Questions on load balancing")
        if output:
            output.write_text(text + "\n", encoding="utf-8")
        else:
            typer.echo(text)
