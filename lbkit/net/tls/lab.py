"""Certificates for a lab: an authority of its own (trustme), for clients that are told to trust it.

No other machine trusts it, and none should: its key lies in the same folder.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from lbkit.needs import why_not
from lbkit.net.address import split_address

CA_CERT, CA_KEY = "ca.pem", "ca.key"
MAX_DAYS = 825  # clients on Apple's systems refuse certificates that are valid longer


class Made(NamedTuple):
    """The files of a certificate that was made."""

    name: str
    cert: Path  # the chain, leaf first
    key: Path


def make_certificates(
    folder: str | Path,
    names: Iterable[str] = (),
    *,
    clients: Iterable[str] = (),
    days: int = MAX_DAYS,
    force: bool = False,
) -> list[Made]:
    """Make a certificate for each name, and an authority if the folder has none yet; return the certificates.

    `names`: hosts, wildcards such as *.a.test, or addresses. `clients`: names of people or programs, for
    client certificates. `days`: how long the certificates are valid, from an hour ago (clocks differ).
    Private keys are for their owner only (mode 600). With `force`, certificates that are there are replaced;
    the authority never is.

    Raises ValueError for names that are not valid, files that are there, and without trustme."""
    if why := why_not("cert"):
        raise ValueError(why)
    import trustme

    folder = Path(folder)
    wanted = dict.fromkeys(map(checked_host, names), False)  # -> whether it is a client's
    for name in map(checked_client, clients):
        if wanted.setdefault(name, True) is False:
            raise ValueError(f"{name!r} is both a host and a client: use two names")
    made = [Made(name, *_paths(folder, name)) for name in wanted]
    has_ca = [(folder / name).exists() for name in (CA_CERT, CA_KEY)]
    if any(has_ca) and not all(has_ca):
        raise ValueError(f"{folder} has one of {CA_CERT} and {CA_KEY} only: add the other, or remove it")
    there = [str(path) for one in made for path in (one.cert, one.key) if path.exists()]
    if there and not force:
        raise ValueError(f"{', '.join(there)}: there already; --force replaces certificates")

    folder.mkdir(parents=True, exist_ok=True)
    if all(has_ca):
        try:
            ca = trustme.CA.from_pem((folder / CA_CERT).read_bytes(), (folder / CA_KEY).read_bytes())
        except (ValueError, TypeError) as error:
            raise ValueError(f"{folder / CA_CERT} and {CA_KEY} are not an authority's: {error}") from None
    else:
        ca = trustme.CA(organization_name="lbkit lab", organization_unit_name="certificates for a lab")
        write(folder / CA_CERT, ca.cert_pem.bytes())
        write(folder / CA_KEY, ca.private_key_pem.bytes(), private=True)
    now = datetime.now(UTC)
    for one in made:
        is_client = wanted[one.name]
        leaf = ca.issue_cert(
            *([] if is_client else [one.name]),
            common_name=one.name if is_client else None,
            organization_name="lbkit lab",
            not_before=now - timedelta(hours=1),
            not_after=now + timedelta(days=days),
        )
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        # The key first: between the two, a proxy that reloads finds files that do not fit, and keeps its own.
        write(one.key, leaf.private_key_pem.bytes(), private=True)
        write(one.cert, chain)
    return made


def write(path: Path, data: bytes, private: bool = False) -> None:
    """Write a file completely or not at all; a private one is never readable by others."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 600
    try:
        with open(number, "wb") as file:
            file.write(data)
        if not private:
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def checked_host(name: str) -> str:
    """Return the name of a host, a wildcard or an address, in lower case. Raises ValueError."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        split_address(f"{name.removeprefix('*.')}:1")
    except ValueError:
        raise ValueError(
            f"{name!r} is not the name of a host: use one such as a.test, *.a.test or 127.0.0.1"
        ) from None
    return name.lower().rstrip(".")


def checked_client(name: str) -> str:
    """Return a client's name. Raises ValueError for one that cannot be a file's name as well."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 @._-]{0,63}", name):
        raise ValueError(f"{name!r} is not a client's name: use letters, digits and @ . _ - such as alice")
    return name


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    stem = name.replace("*", "_wildcard").replace(":", "_")
    if stem in ("ca", ""):
        raise ValueError(f"{name!r}: the authority's files have that name; use another")
    return folder / f"{stem}.pem", folder / f"{stem}.key"
