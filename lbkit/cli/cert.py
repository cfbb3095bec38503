"""`lbkit cert`: certificates for a lab, and the authority that issues them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported


def command(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Hosts, wildcards or addresses, a certificate for each.")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(help="The name of a client, for a client certificate.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=825, help="Days that the certificates are valid.")] = 825,
    force: Annotated[bool, typer.Option("--force", help="Replace certificates that are there.")] = False,
) -> None:
    """Make certificates for a lab, and an authority that issues them (once for a folder).

    Clients have to be told to trust it, as in the last example. Only the owner can read
    private keys.

    \b
    [bold]Examples[/]
      lbkit cert certs a.test "*.b.test" 127.0.0.1
      lbkit cert certs --client alice
      curl --cacert certs/ca.pem --resolve a.test:8443:127.0.0.1 https://a.test:8443/
    """
    if not names and not client:
        fail("NAMES is missing: name a host, such as a.test, or a client with --client")
    with reported(1):
        from lbkit.net.tls.lab import CA_CERT, make_certificates

        made = make_certificates(folder, names or (), clients=client or (), days=days, force=force)
    typer.echo(f"The authority is {folder / CA_CERT}; the lines for a proxy's file:\n\n[tls]")
    served = [one for one in made if one.name not in (client or ())]
    if client:
        typer.echo(f'client_certificates = "required"\nclient_ca = {json.dumps(str(folder / CA_CERT))}')
    for one in served:
        cert, key = json.dumps(str(one.cert)), json.dumps(str(one.key))
        typer.echo(f"\n[[tls.certificates]]\ncert = {cert}\nkey = {key}")
    for one in made:
        if one not in served:
            typer.echo(f"\n# {one.name}: curl --cert {one.cert} --key {one.key}")
