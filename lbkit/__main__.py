"""`python -m lbkit`, where the `lbkit` program is not on PATH."""

from lbkit.cli import app

app()
