"""`lbkit slides`: decks whose stages play in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import check_can_write, reported


def command(
    decks: Annotated[
        list[str] | None,
        typer.Argument(help="Names of decks, or files of your own (TOML); all of the kit's by default."),
    ] = None,
    to: Annotated[Path, typer.Option(help="The folder that they are written to.")] = Path("slides"),
    names: Annotated[bool, typer.Option("--list", help="Only say which decks and stages there are.")] = False,
) -> None:
    """Write decks of slides, a file of HTML each, which play the theatre's stages without a network.

    Arrows lead through the slides, space plays a stage, s shows the notes, n opens them in a window of their
    own. A deck of your own is a TOML file: copy one from lbkit/course/slides/decks.

    \b
    [bold]Examples[/]
      lbkit slides --list
      lbkit slides half-day
      lbkit slides --to public/slides
    """
    from lbkit.course.slides import STAGES, all_decks, find_deck, write

    with reported():
        if names:
            typer.echo(f"decks: {', '.join(all_decks())}\nstages: {', '.join(STAGES)}")
            return
        found = [find_deck(name) for name in decks or all_decks()]
        to.mkdir(parents=True, exist_ok=True)
        for deck in found:
            check_can_write(path := to / f"{deck.name}.html")
            typer.echo(write(deck, path))
