"""The imported rules against the program that the file is for: both send each request to the same pool."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from needs import need, need_module
from scripted import Scripted, answers

need_module("crossplane")

from lbkit.core.routing import Answered, RouteTable, Sample
from lbkit.importer import read_routing

POOLS = ("app", "api", "img", "canary")
PARTS = ("a", "b", "ab", "a.png", "b.php", "img", "api")
METHODS = ("GET", "HEAD", "POST", "DELETE")
Ask = Callable[[str, str, str, dict[str, str]], str]


def random_path(rng: random.Random) -> str:
    path = "".join(f"/{rng.choice(PARTS)}" for _ in range(rng.randrange(4)))
    return path + rng.choice(("", "/")) or "/"


def nginx_location(rng: random.Random, pool: str) -> str:
    path = random_path(rng)
    expressions = ("\\.png$", "^/a", "^/(a|b)/", "/img/", "\\.(png|php)$", "^/api/.*b$", "A")
    how = rng.choice(("", "", "^~", "=", "~", "~*"))
    what = f'"{rng.choice(expressions)}"' if how.startswith("~") else path
    does = rng.choice(
        (
            *[f"proxy_pass http://{pool};"] * 6,
            "return 403;",
            "return 301 /moved$request_uri;",
            f"limit_except GET {{ deny all; }} proxy_pass http://{pool};",
            f"deny 127.0.0.1; proxy_pass http://{pool};",
            f"allow 127.0.0.0/8; deny all; proxy_pass http://{pool};",
        )
    )
    return f"    location {how} {what} {{ {does} }}\n"


def nginx_config(rng: random.Random, ports: dict[str, int], folder: Path, listen: str) -> str:
    """Return a file with a server for each of twenty hosts, each with locations drawn at random."""
    servers = ""
    for number in range(20):
        names = {0: "_", 1: "*.wild.org", 2: "*.more.wild.org", 3: ".dot.org"}.get(number, f"s{number}.org")
        locations: dict[str, str] = {}
        for _ in range(rng.randrange(1, 9)):
            text = nginx_location(rng, rng.choice(POOLS))
            locations.setdefault(text.partition("{")[0].replace("^~", "").strip(), text)
        if rng.random() < 0.8:
            locations.setdefault("location  /", "    location / { proxy_pass http://app; }\n")
        extra = (
            "    rewrite ^/old/(.*)$ /new/$1 permanent;\n    if ($request_method = DELETE) { return 405; }\n"
        )
        inside = f"    listen {listen};\n    server_name {names};\n{extra}{''.join(locations.values())}"
        servers += f"  server {{\n{inside}  }}\n"
    upstreams = "".join(f"  upstream {pool} {{ server 127.0.0.1:{port}; }}\n" for pool, port in ports.items())
    temporary = "".join(
        f"  {name}_temp_path {folder};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; error_log stderr crit; pid {folder}/pid;\nevents {{ }}\n"
    head += f"http {{\n  access_log off; absolute_redirect off; root {folder}/none;\n"
    return f"{head}{temporary}{upstreams}{servers}}}\n"


def haproxy_config(rng: random.Random, ports: dict[str, int], listen: str) -> str:
    tests = (
        "path /a /b/a",
        "path_beg /a /img",
        "path_end .png",
        "path_sub b",
        "path_reg ^/(a|api)/",
        "path_dir img",
        "path -i -m beg /A",
        "method POST",
        "hdr(host) -i s1.org s2.org",
        "hdr_end(host) .dot.org",
        "req.fhdr(X-Beta) -m found",
        "req.fhdr(X-Beta) -m beg 1",
        "req.cook(c) -m str x",
        "url_param(q) -m sub z",
        "src 127.0.0.0/8",
        "src 10.0.0.0/8",
    )
    acls = "".join(f"  acl t{i} {test}\n" for i, test in enumerate(tests))
    lines = ""
    for _ in range(60):
        one, two, three = (f"{rng.choice(('', '', '!'))}t{rng.randrange(len(tests))}" for _ in range(3))
        condition = rng.choice(
            (f"{one} {two} {three}", f"{one} {two}", f"{one} {two} || {three} t{rng.randrange(16)}")
        )
        action = rng.choice(
            (
                *[f"use_backend {rng.choice(POOLS)}"] * 6,
                "http-request deny",
                "http-request redirect location /moved code 301",
                "http-request return status 404",
                "redirect prefix http://p.org",
            )
        )
        if action.startswith("use_backend") or rng.random() < 0.2:
            lines += f"  {action} if {condition}\n"
    backends = "".join(f"backend {pool}\n  server s 127.0.0.1:{port}\n" for pool, port in ports.items())
    timeouts = "  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n"
    frontend = f"frontend web\n  bind {listen}\n{acls}{lines}  default_backend app\n"
    return f"defaults\n  mode http\n{timeouts}{frontend}{backends}"


@contextmanager
def running(command: list[str], path: Path) -> Iterator[Ask]:
    """Start a program that listens on a Unix socket; yield what asks it."""
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + 20
        while not path.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)

        def ask(target: str, method: str, host: str, headers: dict[str, str]) -> str:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(path))
                fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                sock.sendall(f"{method} {target} HTTP/1.0\r\nHost: {host}\r\n{fields}\r\n".encode())
                answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
            head = answer.partition("\r\n\r\n")[0]
            found = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
            return found.get("x-pool") or f"{head.split()[1]} {found.get('location', '')}".strip()

        yield ask
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def pools() -> Iterator[dict[str, int]]:
    """A backend for each pool, which answers with the pool's name."""
    with ExitStack() as stack:
        text = "HTTP/1.1 200 OK\r\nX-Pool: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        yield {
            pool: stack.enter_context(Scripted(answers(text.format(pool).encode()))).port for pool in POOLS
        }


def agree(config: Path, ask: Ask, rng: random.Random, hosts: list[str], count: int, client: str) -> set[str]:
    """Check that the program and the rules decide alike about requests drawn at random."""
    found = read_routing(config)
    table = RouteTable(found.routing)
    outcomes = set()
    for _ in range(count):
        target = random_path(rng) if rng.random() < 0.9 else f"/old{random_path(rng)}"
        target += rng.choice(("", "", "?q=xzx", "?b=c"))
        method, host = rng.choice(METHODS), rng.choice(hosts)
        headers = dict(rng.sample([("X-Beta", "1"), ("X-Beta", "2"), ("Cookie", "c=x")], rng.randrange(3)))
        way = table.route(Sample(target, method, host, headers, client))
        if isinstance(way, Answered):
            ours = " ".join([str(way.reply.status), *(value.lower() for _, value in way.reply.fields)])
        else:
            ours = found.default if way.pool == "default" else way.pool
        theirs = ask(target, method, host, headers)
        if way.rule.endswith("no location") and theirs in ("403", "404", "405"):
            continue  # nginx looks for a file, which is not there
        assert (target, method, host, headers, ours) == (target, method, host, headers, theirs), way
        outcomes.add(ours.split()[0])
    return outcomes


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nginx_sends_each_request_to_the_pool_of_the_imported_rules(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with pools() as ports:
        config = tmp_path / "nginx.conf"
        config.write_text(nginx_config(rng, ports, tmp_path, f"unix:{tmp_path}/s"))
        assert not [one for one in read_routing(config).unread if "location" in one.text]
        hosts = ["other.org", "a.wild.org", "a.more.wild.org", "dot.org", "x.dot.org"]
        hosts += [f"s{number}.org" for number in range(4, 20)]
        command = [need("nginx"), "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
        with running(command, tmp_path / "s") as ask:
            outcomes = agree(config, ask, rng, hosts, 500, "unix:")
    assert {*POOLS, "301", "403", "405"} <= outcomes


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_haproxy_sends_each_request_to_the_pool_of_the_imported_rules(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with pools() as ports:
        config = tmp_path / "haproxy.cfg"
        config.write_text(haproxy_config(rng, ports, f"unix@{tmp_path}/s"))
        found = read_routing(config)
        refused = {one.text for one in found.unread if "two conditions on" not in one.text}
        assert not refused
        # Lines that no rule can express are left out of the file, too: the rest must agree.
        left_out = {one.line for one in found.unread}
        lines = config.read_text().split("\n")
        config.write_text("\n".join(line for i, line in enumerate(lines, 1) if i not in left_out))
        hosts = ["s1.org", "s2.org", "x.dot.org", "dot.org", "other"]
        with running([need("haproxy"), "-db", "-f", str(config)], tmp_path / "s") as ask:
            outcomes = agree(config, ask, rng, hosts, 500, "")
    assert len(outcomes) >= 4
