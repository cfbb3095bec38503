"""`lbkit route`: which rule of a proxy's file decides about a request, and why the rules before it do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The file of the proxy.")],
    url: Annotated[str, typer.Argument(help="Of the request: a path, or http://host/path.")] = "/",
    method: Annotated[str, typer.Option("--request", "-X", help="The method.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header field, such as 'Cookie: a=b'.")
    ] = None,
    client: Annotated[str, typer.Option(help="The client's address.")] = "127.0.0.1",
) -> None:
    """Say which pool gets a request, or which answer it gets, and why. Nothing is sent.

    The options are those of curl.

    \b
    [bold]Examples[/]
      lbkit route proxy.toml /shop/cart
      lbkit route proxy.toml http://example.org/x/../%61dmin --client 203.0.113.7
      lbkit route proxy.toml /api -X POST -H 'Content-Type: application/json'
    """
    with reported(1):
        from lbkit.core.routing import RouteTable, Routing, Sample
        from lbkit.net.config import ProxyConfig

        fields = {}
        for text in header or []:
            name, colon, value = text.partition(":")
            if not colon or not name.strip():
                fail(f"--header is {text!r}: use a name, a colon and a value")
            fields[name.strip()] = value.strip()
        target, host = url, "localhost"
        scheme, found, rest = url.partition("://")
        if found and scheme.lower() in ("http", "https"):
            host = re.split("[/?]", rest, maxsplit=1)[0]
            target = rest[len(host) :]
            target = target if target.startswith("/") else "/" + target
        if not target.startswith("/"):
            fail(f"URL is {url!r}: use a path from / on, or http://host/path")
        table = RouteTable(ProxyConfig.load(config).routing or Routing())
        typer.echo(table.explain(Sample(target, method, host, fields, client)))
