"""`lbkit algorithms`: the load-balancing algorithms, a line each."""

from __future__ import annotations

import lbkit


def command() -> None:
    """List the load-balancing algorithms there are.

    \b
    [bold]Examples[/]
      lbkit algorithms
      lbkit compare -p ip_hash -p consistent_hash
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("name", no_wrap=True)
    shown.add_column("what it does")
    for name, cls in lbkit.algorithms().items():
        shown.add_row(name, (cls.__doc__ or "").strip().partition("\n")[0])
    Console().print(shown)
