"""Alertmanager's webhook by itself, for containers: prints each alert that fires or ends."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from lbkit.live.monitor.notices import Notices
from lbkit.live.monitor.web import WEBHOOK, Web


def main() -> None:
    """`python -m lbkit.live.monitor.receiver PORT`, until SIGINT or SIGTERM. /data.json has the notices."""
    told, lock = Notices(), threading.Lock()

    def take(message: Any) -> None:
        with lock:  # Alertmanager sends groups side by side
            for notice in told.take(message):
                print(notice, flush=True)

    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there are threads
    web = Web(int(sys.argv[1]), take, lambda minutes: {"notices": [one.to_dict() for one in told.all]})
    print(f"waits for alerts at {web.url}{WEBHOOK}", flush=True)
    signal.sigwait(ends)
    web.close()


if __name__ == "__main__":
    main()
