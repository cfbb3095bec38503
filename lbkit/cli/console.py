"""What commands print: errors in a line, tables, and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from lbkit.run import EngineError

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it: 128 + SIGINT


def fail(why: object, code: int = 2) -> NoReturn:
    """Print a line for each thing that is wrong, and exit."""
    for line in str(why).splitlines() or [type(why).__name__]:
        typer.secho(f"lbkit: {line}", fg="red", err=True)
    raise typer.Exit(code)


@contextmanager
def reported(code: int = 2) -> Iterator[None]:
    """Print errors that the user can mend, and interrupts, in lines without a traceback, and exit."""
    try:
        yield
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error, code)
    except (ValueError, ImportError, EngineError) as error:
        fail(error, code)


def check_can_write(path: Path) -> None:
    """Check, before work that takes long, that a file can be written there. Raises ValueError."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: use a file")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {str(path.parent)!r}; make it, or use another file")
