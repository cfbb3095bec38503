"""The normal form of paths, and the prefixes and expressions of rules, next to nginx's own."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import need

from lbkit.core.routing import RouteTable, Routing, Rule, Sample, ToPool, When
from lbkit.core.routing.paths import normal_path

PIECES = [
    *"/////...aB~",
    "%2e",
    "%2E",
    "%2f",
    "%41",
    "admin",
    "%61dmin",
    "..",
    "/../",
    "/./",
    "%25",
    "%3f",
    "%20",
]
RULES = (
    Rule("exact", ToPool("a"), When(path=("/admin",))),
    Rule("below", ToPool("b"), When(prefix=("/admin",))),
    Rule("regex", ToPool("c"), When(regex=("/[aB]+/[^/]*",))),
    Rule("rest", ToPool("d")),
)

CONFIG = """
daemon off; error_log stderr crit; pid {dir}/pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{
    listen unix:{dir}/sock;
    location = /admin {{ return 200 "exact $uri"; }}
    location ^~ /admin/ {{ return 200 "below $uri"; }}
    location ~ "^/[aB]+/[^/]*$" {{ return 200 "regex $uri"; }}
    location / {{ return 200 "rest $uri"; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def ask_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[int, bytes]]]:
    folder = tmp_path_factory.mktemp("n")
    (folder / "nginx.conf").write_text(CONFIG.format(dir=folder))
    process = subprocess.Popen(
        [need("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    )
    try:
        end = time.monotonic() + 20
        while not Path(folder / "sock").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)

        def ask(target: str) -> tuple[int, bytes]:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(folder / "sock"))
                sock.sendall(f"GET {target} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
                answer = b"".join(iter(lambda: sock.recv(65536), b""))
            head, _, body = answer.partition(b"\r\n\r\n")
            return int(head.split()[1]), body

        yield ask
    finally:
        process.terminate()
        process.wait(20)


def test_nginx_reads_the_same_path_and_chooses_the_same_rule(
    ask_nginx: Callable[[str], tuple[int, bytes]],
) -> None:
    rng = random.Random(15)
    table = RouteTable(Routing(RULES))
    agreed = 0
    for _ in range(600):
        target = "/" + "".join(rng.choice(PIECES) for _ in range(rng.randrange(8)))
        status, body = ask_nginx(target)
        if status == 400:  # nginx refuses a .. above the root, which stays at the root here
            continue
        rule, _, path = body.partition(b" ")
        assert (target, normal_path(target.encode())) == (target, path.decode())
        assert (target, table.route(Sample(target)).rule) == (target, rule.decode())
        agreed += 1
    assert agreed > 400
