from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

from needs import need_feature

need_feature("live")

from lbkit.live.program import free_ports

MESSAGE = {
    "alerts": [
        {
            "fingerprint": "1",
            "status": "firing",
            "labels": {"alertname": "ServerDown", "severity": "page", "backend": "s1"},
            "annotations": {"summary": "a server is out of service"},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ]
}


def test_it_prints_each_alert_and_ends_when_asked_to() -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "lbkit.live.monitor.receiver", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            assert receiver.stdout
            found = re.search(r"http://\S+", receiver.stdout.readline())  # it serves from then on
            assert found
            body = json.dumps(MESSAGE).encode()
            request = urllib.request.Request(found[0], body, {"Content-Type": "application/json"})
            for _ in range(2):  # the second one is no news
                urllib.request.urlopen(request, timeout=10).close()
            receiver.send_signal(signal.SIGTERM)
            lines = receiver.communicate(timeout=30)[0].splitlines()
        finally:
            receiver.kill()
    assert receiver.returncode == 0
    (line,) = lines
    assert re.search(r"FIRING +page +ServerDown backend=s1: a server is out of service", line)
