"""The certificate of a run with TLS: of an authority of its own, in a folder that goes with the run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lbkit.net.tls.lab import CA_CERT, make_certificates

HOST = "127.0.0.1"  # where clients find the balancer
DAYS = 2


class Lab:
    """Files of a certificate, which clients that trust `ca` accept."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lbkit-lab-")
        (made,) = make_certificates(self._folder.name, [HOST], days=DAYS)
        self.ca = str(Path(self._folder.name) / CA_CERT)
        self.cert, self.key = str(made.cert), str(made.key)
        self.both = str(Path(self._folder.name) / "both.pem")  # as HAProxy reads them
        Path(self.both).write_bytes(made.cert.read_bytes() + made.key.read_bytes())
        Path(self.both).chmod(0o600)

    def close(self) -> None:
        """Remove the files. May be called more than once."""
        self._folder.cleanup()
