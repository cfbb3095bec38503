"""Questions on notebook 02: layers 4 and 7."""

from __future__ import annotations

from collections.abc import Callable

from lbkit import Backend, Experiment, Exponential, Layer4, Pool, Tls, Traffic, make_balancer, run, servers
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions, extreme
from lbkit.net import TcpProxy

ask = Questions("02-layers")


def _at_both(clients: int, count: int, seed: int) -> tuple[Experiment, Experiment]:
    """Return the same traffic at layer 4, a connection a client, and at layer 7."""
    crowd = Traffic(duration=10, clients=clients)
    one = Experiment(servers(count, service=Exponential(0.1)), crowd, "least_connections", seed=seed).at_load(
        0.5
    )
    return one.but(layer4=Layer4("one")), one


@ask("claim-l6-one", what_if=True)
def one_connection(draw: Draw) -> Number:
    count, layer = draw.choice([3, 4, 6]), draw.choice([4, 7])
    at_4, at_7 = _at_both(1, count, draw.randrange(50))
    used = sum(n > 0 for n in run(at_4 if layer == 4 else at_7).counts.values())
    return Number(
        f"One client sends some hundred requests on one connection, through a balancer at layer {layer} by "
        f"least connections, to {count} servers. How many of the servers get requests?",
        used,
        "servers",
        "Layer 4 chooses once for a connection, layer 7 once for a request.",
        {"a balancer spreads requests, at any "
            "layer": float(count)} if layer == 4 else {"a connection is pinned, at any layer": 1.0},
        within=0.0,
    )  # fmt: skip


@ask("claim-l6-crowd", what_if=True)
def idle_servers(draw: Draw) -> Number:
    count = draw.choice([6, 8, 10])
    clients = draw.randrange(2, count - 1)
    result = run(_at_both(clients, count, draw.randrange(50))[0])
    return Number(
        f"{clients} clients, with one HTTP/2 connection each, use a balancer at layer 4 (least connections) "
        f"before {count} servers. How many servers stay idle?",
        sum(n == 0 for n in result.counts.values()),
        "servers",
        "A connection has one server. More servers than connections cannot be used at layer 4.",
        {"requests are spread over all": 0.0, "all connections go to the same server": float(count - 1)},
        within=0.0,
    )


@ask("claim-l6-busy", what_if=True)
def which_layer_is_faster(draw: Draw) -> Choice:
    clients = draw.choice([1, 2])
    at_4, at_7 = _at_both(clients, 4, draw.randrange(50))
    means = {"layer 4": run(at_4).mean, "layer 7": run(at_7).mean}
    return Choice(
        f"{'One busy client has' if clients == 1 else 'Two busy clients each have'} an HTTP/2 connection to "
        "four servers at a load of 50 %. At which layer do requests take less time?",
        extreme(
            means,
            {"layer 4": "layer 4 is faster, as it does less", "layer 7": "layer 7 always balances better"},
        ),
        f"{1000 * means['layer 4']:.0f} ms at layer 4, {1000 * means['layer 7']:.0f} ms at layer 7. The "
        "microseconds that layer 4 saves for each request are nothing beside a queue at the one server it "
        "has chosen.",
    )


def _taken(make: Callable[[], object]) -> bool:
    try:
        make()
    except ValueError:
        return False
    return True


@ask("claim-l3-keys")
def what_layer_4_can_hash(draw: Draw) -> Choice:
    path, cookie = draw.choice(["path", "uri"]), f"cookie:{draw.choice(['user', 'session', 'cart'])}"
    header = f"header:{draw.choice(['Host', 'Accept-Language', 'Authorization'])}"
    pool = Pool([Backend("s1", host="127.0.0.1", port=9)], make_balancer("rendezvous"))
    keys = {"client": "the client's address", path: "the path", cookie: f"the {cookie[7:]} cookie",
            header: f"the {header[7:]} header"}  # fmt: skip
    thinks = {
        path: "a balancer sees URLs",
        cookie: "cookies are part of the connection",
        header: "headers are readable at any layer",
    }
    holds = {key: _taken(lambda key=key: TcpProxy(pool, key=key)) for key in keys}  # type: ignore[misc]
    return Choice(
        "Which of these can a balancer at layer 4 use to choose a server?",
        tuple(Option(name, holds[key], thinks.get(key, "")) for key, name in keys.items()),
        "It sees addresses and ports. What is inside the connection, encrypted or not, it does not read.",
    )


@ask("claim-l5-tls", what_if=True)
def handshakes(draw: Draw) -> Choice:
    reuse = draw.choice([True, False])
    crowd = Traffic(duration=5, clients=draw.choice([5, 10]), reuse=reuse)
    base = Experiment(
        servers(2), crowd, tls=Tls(handshake=0.002, resumed=0.001), seed=draw.randrange(50)
    ).at_load(0.6)
    result = run(base)
    share = (result.handshakes or 0) / len(result)
    how = "keep their connections open" if reuse else "close the connection after each request"
    return Choice(
        f"Clients speak HTTPS to a proxy and {how}. For how many of the requests does it make a TLS "
        "handshake?",
        (
            Option("for each", share > 0.99, "each request has to be authenticated anew"),
            Option(
                "for some", 0 < share <= 0.99, "the proxy keeps a client's session, also without a connection"
            ),
            Option("for none", share == 0, "TLS costs nothing once a certificate is installed"),
        ),
        f"{result.handshakes} handshakes for {len(result)} requests: one for each new connection.",
    )
