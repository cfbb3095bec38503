"""The processes of an anycast lab: `site ADDRESS NAME` answers with its name, `client ADDRESS` asks for it.

A client asks once for each line of its input: `new` on a new connection, `same` on the one that it keeps.
lbkit.live.anycast runs this file in a host's network namespace, so it imports nothing of lbkit.
"""

from __future__ import annotations

import socket
import socketserver
import sys

PORT = 8053
PATIENCE = 1.0  # seconds that a client waits for an answer


class Site(socketserver.StreamRequestHandler):
    """Answers each line with the site's name."""

    name = b""

    def handle(self) -> None:
        for _ in self.rfile:
            self.wfile.write(self.name + b"\n")


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def connect(address: str) -> socket.socket:
    return socket.create_connection((address, PORT), PATIENCE)


def ask(connection: socket.socket) -> str:
    """Return the name of the site at the other end. Raises OSError."""
    connection.sendall(b"?\n")
    name = connection.makefile("rb").readline().decode().strip()
    if not name:
        raise ConnectionResetError("the connection is closed")
    return name


def answer(address: str, how: str, kept: list[socket.socket]) -> str:
    """Return the site's name, or "failed: " and the reason."""
    try:
        if how == "new":
            with connect(address) as connection:
                return ask(connection)
        if not kept:
            kept.append(connect(address))
        return ask(kept[0])
    except OSError as error:
        if how == "same":
            kept.clear()
        return f"failed: {error}"


def main() -> None:
    kind, address, *name = sys.argv[1:]
    if kind == "site":
        Site.name = name[0].encode()
        Threads((address, PORT), Site).serve_forever()
    kept: list[socket.socket] = []
    for line in sys.stdin:
        print(answer(address, line.strip(), kept), flush=True)


if __name__ == "__main__":
    main()
