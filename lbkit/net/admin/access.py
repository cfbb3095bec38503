"""Access to the admin interface.

The Unix socket allows everything: only its owner can open the file. The loopback address lets every user of
this machine read, and asks for the token before a change. Browsers on this machine are the danger
there: a page from elsewhere could have its own name resolve to 127.0.0.1 (DNS rebinding), so the Host field
has to name this machine; and it could send a request across origins, so a change has to come from our page.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from lbkit.net.messages import RequestHead
from lbkit.net.running import ProxyError

VARIABLE = "LBKIT_ADMIN_TOKEN"
SHORTEST = 16  # characters of a token
SAFE = (b"GET", b"HEAD")
_HERE = re.compile(rb"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, 2.1


class Denied(Exception):
    """Raised for a request that is not allowed; `status` is the answer's."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Token:
    """The secret that changes need. `where` says where the operator finds it, never what it is."""

    def __init__(self, secret: str, where: str, temporary: str = "") -> None:
        self._secret = secret.encode()
        self.where = where
        self._temporary = temporary

    @classmethod
    def found(cls, file: str) -> Token:
        """Return the token of a file or of the environment; where there is none, a new one.

        Raises ProxyError."""
        if file and Path(file).exists():
            return cls(_checked(_read(file), f"admin.token_file {file!r}"), f"the token is in {file}")
        if not file and (given := os.environ.get(VARIABLE)):
            return cls(_checked(given, VARIABLE), f"the token is in {VARIABLE}")
        fresh = secrets.token_urlsafe(32)
        try:
            if file:
                number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            else:
                number, file_ = tempfile.mkstemp(prefix="lbkit-admin-", suffix=".token")
            with os.fdopen(number, "w") as out:
                out.write(fresh + "\n")
        except OSError as error:
            raise ProxyError(f"admin.token_file is {file!r}: {error.strerror}; use another path") from None
        if file:
            return cls(fresh, f"a new token is in {file}")
        return cls(fresh, f"the token is in {file_}", temporary=file_)

    def fits(self, given: bytes) -> bool:
        """Return whether this is the token, in constant time."""
        return hmac.compare_digest(given, self._secret)

    def forget(self) -> None:
        """Remove the temporary file."""
        if self._temporary:
            with suppress(OSError):
                os.unlink(self._temporary)

    def __repr__(self) -> str:
        return "Token(...)"


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii") as source:
            if os.fstat(source.fileno()).st_mode & 0o077:
                raise ProxyError(f"admin.token_file {file!r} can be read by others: chmod 600 mends that")
            return source.read(4096)
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise ProxyError(f"admin.token_file is {file!r}: {error.strerror}; use a file of yours") from None


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if len(token) < SHORTEST or not _TOKEN.fullmatch(token):
        raise ProxyError(
            f"{where} has no token: use {SHORTEST} or more letters and digits, drawn at random, "
            "or remove it, and one is made"
        )
    return token


class Access:
    """Checks each request that comes by one of the two ways. `token` is None where all is allowed."""

    def __init__(self, token: Token | None) -> None:
        self._token = token

    def check(self, request: RequestHead) -> None:
        """Raise Denied unless the request is allowed."""
        if self._token is None:
            return
        host = request.field(b"host")
        if not _HERE.fullmatch(host):
            raise Denied(421, "the Host field does not name this machine: use localhost or 127.0.0.1")
        if request.method in SAFE:
            return
        origin = request.field(b"origin")
        if origin and origin.lower() != b"http://" + host.lower():
            raise Denied(403, "the request comes from a page of another origin")
        given = request.values(b"authorization")
        scheme, _, secret = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not self._token.fits(secret.strip()):
            raise Denied(401, "a change needs the token: send Authorization: Bearer TOKEN")
