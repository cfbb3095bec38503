"""A proxy in a process of its own: what it says, and that nothing of it is left."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from needs import need_feature

need_feature("live", "metrics")

from lbkit import servers
from lbkit.live import LocalFleet
from lbkit.live.proxy_process import ProxyProcess
from lbkit.metrics import read_exposition
from lbkit.metrics.store import labels
from lbkit.net import BackendConfig, ProxyConfig
from lbkit.net.running import ProxyError

pytestmark = pytest.mark.live


def test_it_serves_counts_and_leaves_nothing() -> None:
    with LocalFleet(servers(1)) as fleet:
        config = ProxyConfig([BackendConfig(f"127.0.0.1:{fleet.port('s1')}", "s1", workers=1)])
        with ProxyProcess(config) as proxy:
            for _ in range(3):
                urllib.request.urlopen(proxy.url, timeout=30).close()
            found = read_exposition(proxy.metrics())
            folder = Path(proxy._folder.name)
            processes = proxy._program.processes()
    assert found["lbkit_requests_total"][labels(backend="s1", code="2xx")] == 3
    assert found["lbkit_backend_workers"] == {labels(backend="s1"): 1}
    assert processes
    assert not any(process.is_running() for process in processes)
    assert not folder.exists()


def test_a_proxy_that_does_not_start_says_why(tmp_path: Path) -> None:
    config = ProxyConfig([BackendConfig("127.0.0.1:1", "s1")], access_log=str(tmp_path / "no" / "such.log"))
    with pytest.raises(ProxyError, match=r"did not start: .*such\.log"):
        ProxyProcess(config).start()
