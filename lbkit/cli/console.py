"""What commands print: errors in a line, tables, and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from lbkit.run import EngineError


def fail(why: object, code: int = 2) -> NoReturn:
    """Print a line for each thing that is wrong, and exit."""
    for line in str(why).splitlines() or [type(why).__name__]:
        typer.secho(f"lbkit: {line}", fg="red", err=True)
    raise typer.Exit(code)


@contextmanager
def reported(code: int = 2) -> Iterator[None]:
    """Print errors that the user can mend, and exit; without a traceback."""
    try:
        yield
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error, code)
    except (ValueError, ImportError, EngineError) as error:
        fail(error, code)
