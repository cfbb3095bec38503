"""For each claim in the notebooks, edits that break it: with each of them an assertion of its cell fails.

An edit puts another algorithm in place of the right one, switches a feature off, or breaks a line of the
package. The cells from the first edit to the claim's cell run with it. Claims about live runs mostly judge
what another algorithm did in the same session: that needs no second session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notebooks.book import Edit

from lbkit.core.affinity import Session, SessionCookies


@dataclass(frozen=True)
class Mutation:
    claim: str
    notebook: str
    at: str  # the cell with the assertion that must fail
    edits: tuple[Edit, ...] = ()
    patches: tuple[tuple[str, Any], ...] = ()
    since: str = ""  # the first cell to run again, if it comes before the first edit
    needs: str = ""  # the engine that it runs on, if not the simulator

    def __str__(self) -> str:
        what = [f"{e.cell}: {e.new!r} for {e.old!r}" for e in self.edits] + [
            target for target, _ in self.patches
        ]
        return f"{self.claim} in {self.notebook}[{self.at}] with {'; '.join(what)}"


def swap(notebook: str, claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    """Return the mutation that replaces `old` by `new`, in `at` or in an earlier cell."""
    return Mutation(claim, notebook, at, (Edit(cell or at, old, new),), needs=needs)


def judged(claim: str, at: str, policy: str, other: str) -> Mutation:
    """Return the mutation in which the claim's cell judges what `other` did on real sockets, for `policy`."""
    lines = [f"{seen} = {{**{seen}, {policy!r}: {seen}[{other!r}]}}" for seen in ("turns", "seen")]
    return Mutation(claim, "03-algorithms", at, (Edit(at, "", "\n".join(lines)),), needs="live")


RING_OF_POINTS = 'Policy("consistent_hash", {"points": points})'
ONE_SERVER = 'seen = {name: r.where(backend="s1") for name, r in seen.items()}'


def in_03(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("03-algorithms", claim, at, old, new, cell, needs)


ALGORITHMS = [
    in_03("A1", "claim-a1-sim", '("round_robin", "random")', '("least_connections", "random")'),
    in_03("A2", "claim-a2-scene", '"round_robin"', '"least_connections"', cell="a2-predict"),
    in_03("A2", "claim-a2-sim", '"round_robin"', '"least_connections"', cell="a2-figure"),
    in_03("A2", "claim-a2-sim", '"round_robin"', '"weighted_round_robin"', cell="a2-figure"),
    in_03("A3", "claim-a3-sim", '"weighted_round_robin"', '"random"', cell="a3-figure"),
    in_03("A3", "claim-a3-sim", '"weighted_round_robin"', '"round_robin"'),
    in_03("A3", "claim-a3-orders", "three(name)", 'three("weighted_random")'),
    in_03("A3", "claim-a3-nginx", "weight=5", "weight=1", needs="nginx"),
    in_03("A4", "claim-a4-sim", '"least_connections"', '"weighted_round_robin"'),
    in_03("A4", "claim-a4-long", '"least_connections"', '"weighted_round_robin"'),
    in_03("A5", "claim-a5-errors", "error_rate=1.0", "error_rate=0.0", cell="a5-figure"),
    in_03("A5", "claim-a5-cpu", '"s1", 0.3', '"s1", 1.0'),
    in_03("A6", "claim-a6-sim", '"ip_hash"', '"random"'),
    in_03("A7", "claim-a7", "client_skew=1.5", "client_skew=0.0", cell="a7-figure"),
    in_03("A7", "claim-a7", '"ip_hash"', '"round_robin"', cell="a7-figure"),
    in_03("A8", "claim-a8", '"ip_hash"', 'Policy("consistent_hash", key="client")'),
    in_03("A9", "claim-a9-sim", '"least_response_time"', '"least_connections"'),
    in_03("A9", "claim-a9-sim", '"least_response_time"', '"weighted_round_robin"'),
    in_03("A10", "claim-a10", '"least_response_time"', '"peak_ewma"'),
    in_03("A11", "claim-a11-leave", '"consistent_hash", points=6', '"jump_hash"'),
    in_03("A11", "claim-a11-leave", '"consistent_hash", points=6', '"modulo_hash"'),
    in_03("A11", "claim-a11-scene", RING_OF_POINTS, 'Policy("modulo_hash")', cell="a11-build"),
    in_03("A11", "claim-a11-join", '"consistent_hash"', '"modulo_hash"'),
    in_03("A11", "claim-a11-hits", "policy=name", 'policy="modulo_hash"', cell="a11-hits"),
    in_03("A11", "claim-a11-hot", '{"factor": 1.25}', '{"factor": 100.0}'),
    in_03("score", "claim-score", "self.rng", '__import__("random")', cell="house-class"),
    in_03("score", "claim-score", '"least_connections"', '"round_robin"'),
    in_03("RP1", "claim-rp1-live", "", ONE_SERVER, needs="live"),
    judged("A1", "claim-a1-live", "round_robin", "least_connections"),
    judged("A2", "claim-a2-live", "round_robin", "least_connections"),
    judged("A2", "claim-a2-live", "round_robin", "weighted_round_robin"),
    judged("A3", "claim-a3-live", "weighted_round_robin", "round_robin"),
    judged("A4", "claim-a4-live", "least_connections", "weighted_round_robin, untold"),
    judged("A6", "claim-a6-live", "ip_hash", "round_robin"),
    judged("A9", "claim-a9-live", "least_response_time", "weighted_round_robin, untold"),
    in_03("A11", "claim-a11-live", '"consistent_hash"', '"jump_hash"', cell="live-ring", needs="live"),
]


def in_01(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "live") -> Mutation:
    return swap("01-reverse-proxies", claim, at, old, new, cell, needs)


ALL_PROGRAMS = '("live", *PROGRAMS)'
SERVERS = '[Server(f"s{i}", weight=10 if i == 1 else 1, service=Exponential(0.05)) for i in (1, 2, 3)]'
WRONG_WEIGHTS = f"run(job.but(servers={SERVERS}), on=engine)"

NO_CACHE = Edit("cache-runs", "max-age=60", "max-age=0")
CACHE_SIMULATED = Edit("cache-runs", '(("sim", "live") if live else ("sim",))', '("sim",)')

PROXIES = [
    in_01("RP1", "claim-rp1-turns", '"round_robin"', '"ip_hash"'),
    in_01("RP1", "claim-rp1-traffic", "seed=1", 'seed=1, policy="first_available"'),
    in_01("one-address", "claim-one-address", "(0, 2, 1)", "(0, 2, 0)", cell="address-scene", needs=""),
    in_01("RP5", "claim-rp5-scene", "max-age={fresh}", "max-age=0", cell="cache-build", needs=""),
    in_01("RP2", "claim-rp2", 'hide=["X-Backend", "Server"], ', "", cell="hide"),
    in_01("RP2", "claim-rp2", 'hide=["X-Backend", "Server"]', 'hide=["X-Backend"]', cell="hide"),
    in_01("RP2", "claim-rp2", 'hide=["X-Backend", "Server"]', 'hide=["Server"]', cell="hide"),
    in_01("RP2", "claim-rp2", "hide_errors=True", "hide_errors=False", cell="hide"),
    in_01("RP3", "claim-rp3", "tls=one", 'tls=one, trusted=["127.0.0.0/8"]', cell="tls-visits"),
    in_01("RP3", "claim-rp3", "visit(safe, trust=trusting)", "visit(plain)", cell="tls-visits"),
    Mutation("RP5", "01-reverse-proxies", "claim-rp5", (NO_CACHE, CACHE_SIMULATED)),
    in_01("RP5", "claim-rp5", "", 'caches = {**caches, "live": (caches["live"][0],) * 2}'),
    in_01("RP5", "claim-rp5-worst", "max-age=5", "max-age=0", cell="cache-worst", needs=""),
    in_01("RP5", "claim-rp5-worst", "coalesce=WAYS[name]", "coalesce=True", cell="cache-worst", needs=""),
    in_01("RP4", "claim-rp4-connections", "connections=2", "connections=20", cell="rp4-connections"),
    in_01("RP4", "claim-rp4-rate", '"burst": 10', '"burst": 100'),
    Mutation(
        "RP6",
        "01-reverse-proxies",
        "claim-rp6",
        (
            Edit("programs-run", ALL_PROGRAMS, '("nginx",)'),
            Edit("programs-run", "run(job, on=engine)", WRONG_WEIGHTS),
            Edit("programs-run", "", "from lbkit import Server"),
        ),
        needs="nginx",
    ),
    Mutation(
        "RP6",
        "01-reverse-proxies",
        "claim-rp6",
        (
            Edit("programs-run", ALL_PROGRAMS, '("nginx",)'),
            Edit("programs-run", "run(job, on=engine)", 'run(job.but(policy="random"), on=engine)'),
        ),
        needs="nginx",
    ),
]


def in_07(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("07-rate-limits", claim, at, old, new, cell, needs)


def broken(name: str, instead_of: str) -> str:
    """Return the line that puts a class of notebooks.broken in place of one of lbkit's."""
    return f"from notebooks.broken import {name} as {instead_of}"


BUCKET = '{"kind": "token_bucket", "rate": 5, "burst": 10}'
QUEUE = '{"kind": "leaky_queue", "rate": 5, "capacity": 10}'
ONLY_SIMULATED = Edit("claim-t3-t4-live", "in engines", 'in ["sim"]')


def without(what: str, instead: str, claim: str) -> Mutation:
    edits = (Edit("live-buckets", what, instead), ONLY_SIMULATED)
    return Mutation(claim, "07-rate-limits", "claim-t3-t4-live", edits)


NO_LOCK = (Edit("claim-t7-threads", "    with lock:\n", "    if lock:\n"),)


def flooded(at: str, old: str, new: str) -> Mutation:
    edits = (Edit("claim-rp4-run", old, new), Edit("claim-rp4-run", "in engines", 'in ["sim"]'))
    return Mutation("RP4", "07-rate-limits", at, edits)


LIMITS = [
    in_07("T3", "claim-t3-counts", "", broken("_UncappedBucket", "TokenBucket")),
    in_07("T3", "claim-t3-bound", "", broken("_UncappedBucket", "TokenBucket")),
    in_07("T3", "claim-t3-bound", "burst=10", "burst=11"),
    without(BUCKET, '{"kind": "token_bucket", "rate": 5, "burst": 1000}', "T3"),
    in_07("T4", "claim-t4-sim", "LeakyQueue(rate=5, capacity=10)", "TokenBucket(rate=5, burst=10)"),
    without(QUEUE, BUCKET, "T4"),
    in_07("T5", "claim-t5-sim", "FixedWindow(limit", "SlidingLog(limit"),
    in_07("T5", "claim-t5-live", "exploit(kind, fleet)", 'exploit("sliding_counter", fleet)', needs="live"),
    in_07("T6", "claim-t6-memory", "SlidingLog(n)", "SlidingCounter(n)"),
    in_07("T6", "claim-t6-exact", "", broken("_ForgetlessLog", "SlidingLog")),
    in_07("T6", "claim-t6-exact", "", broken("_LooseLog", "SlidingLog")),
    in_07("T6", "claim-t6-exact", "SlidingLog", "SlidingCounter"),
    in_07("T7", "claim-t7-clock", "", broken("_WallClockBucket", "TokenBucket")),
    in_07("T7", "claim-t7-clock", "(now - self.seen)", "max(0, now - self.seen)", cell="textbook"),
    in_07("T7", "claim-t7-cure", "", broken("_WallClockBucket", "TokenBucket")),
    Mutation("T7", "07-rate-limits", "claim-t7-threads", NO_LOCK, since="threads"),
    in_07("T1", "claim-t1-sim", "admission=gate", "admission=None"),
    in_07(
        "T1",
        "claim-t1-live",
        "run(shaped.but(duration=2.5), on",
        "run(bursts.but(duration=2.5), on",
        needs="live",
    ),
    in_07("T2", "claim-t2-fair", "queue=queue", 'queue="fifo"'),
    in_07("T2", "claim-t2-classes", 'queue="priority"', 'queue="fifo"'),
    in_07("T2", "claim-t2-starve", "timeout=4", "timeout=4000"),
    flooded("claim-rp4-others", "limits=fence", "limits=[]"),
    flooded("claim-rp4-others", '"burst": 10}', '"burst": 10}, key="global"'),
    flooded("claim-rp4-servers", '"rate": 5', '"rate": 5000'),
]


def in_04(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("04-sticky-sessions", claim, at, old, new, cell, needs)


def readable(cookies: SessionCookies, value: str, now: float) -> Session | None:
    """Take the name of a server for a session cookie, as a balancer without a signature does."""
    return Session(value, now, now) if value else None


UNSIGNED = ("lbkit.core.affinity.SessionCookies.decode", readable)
WANDERING = """
visits = Traffic(Sessions(rate=6, requests=8, think=0.3, state="shared"), duration=4)
runs = {("shared", "sim"): run(Experiment(servers(3), visits, ROUND_ROBIN))}
"""

STICKY_SESSIONS = [
    in_04("S3", "claim-s3-carts", "ROUND_ROBIN", 'Policy("round_robin", sticky=Sticky())', needs="live"),
    in_04("S1", "claim-s1-cookie", ", sticky=Sticky()", "", needs="live"),
    in_04("S3", "claim-s1-cookie", "Sticky()", "Sticky(idle=1e-6)", needs="live"),
    in_04("S1", "claim-s1-why", "token=token", 'token=""'),
    in_04(
        "S1",
        "claim-s1-plain",
        "policy=STICKY",
        'policy=Policy("round_robin", sticky=Sticky(secret="drawn at random, and long"))',
        needs="haproxy",
    ),
    Mutation("S1", "04-sticky-sessions", "claim-s1-signed", patches=(UNSIGNED,), needs="live"),
    in_04("S3", "claim-s3-websocket", "chats(STICKY)", "chats(ROUND_ROBIN)", needs="live"),
    in_04("S2", "claim-s2-address", 'Sticky("source")', "Sticky()", needs="live"),
    in_04("S2", "claim-s2-nat-live", "office(SOURCE)", "office(STICKY)", needs="live"),
    in_04("S2", "claim-s2-nat-sim", "client_skew=2.0", "client_skew=0.0", cell="nat-figure"),
    in_04("S2", "claim-s2-nat-sim", '"address": SOURCE', '"address": STICKY', cell="nat-figure"),
    in_04("S4", "claim-s4-memory", "pair.crash(before.server)", "pass", cell="crash", needs="live"),
    in_04("S4", "claim-s4-store", "cart_after_crash(redis.url)", "cart_after_crash()", needs="redis"),
    in_04("S4", "claim-s4-runs", "", 'runs = {("shared", "sim"): runs["memory", "sim"]}'),
    in_04("S1", "claim-s4-runs", "", WANDERING),
    in_04("S5", "claim-s5-newcomer", "", 'joined = {**joined, "sticky": joined["free"]}'),
    in_04("S5", "claim-s5-latency", "", 'joined = {**joined, "sticky": joined["free"]}'),
    in_04("S5", "claim-s5-uneven", "sticky=Sticky()", "sticky=None"),
    in_04("S1", "claim-s1-two", "balancers=2", "balancers=1"),
]


def in_07b(claim: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    """Return a mutation of the cell that is named after its claim, or of an earlier one."""
    return swap("07b-retries-and-breakers", claim, f"claim-{claim}", old, new, cell, needs)


POSTS_ARE_SENT_TWICE = (("lbkit.net.forwarding.IDEMPOTENT", frozenset({b"GET", b"POST"})),)
NO_RETRIES = 'r = run(drill.but(policy=Policy("least_connections", retries=0)))'

RETRIES = [
    in_07b("retry-safety", "safe=idempotent", "safe=True"),
    Mutation(
        "retry-safety-live",
        "07b-retries-and-breakers",
        "claim-retry-safety-live",
        patches=POSTS_ARE_SENT_TWICE,
        needs="live",
    ),
    in_07b("jitter", "jitter=jitter", 'jitter="none"', cell="jitter"),
    in_07b("retry-budget", "ratio=0.25", "ratio=2.5"),
    in_07b("retry-budget", "ratio=0.25", "ratio=0.1"),
    in_07b("retry-storm", "retries=clicks", "retries=0", cell="storm"),
    swap(
        "07b-retries-and-breakers",
        "retry-storm",
        "storm-stage-check",
        "retries=clicks",
        "retries=0",
        cell="storm",
    ),
    in_07b("storm-load", "retries=clicks", "retries=0", cell="storm"),
    in_07b("storm-load", "retries=clicks", "retries=3", cell="storm"),
    in_07b("backoff-alone", "retries=3", "retries=0"),
    in_07b("storm-ends", "health=health", "health=None", cell="cures"),
    in_07b("storm-ends", "open_for=2", "open_for=100", cell="cures"),
    in_07b("layers", "retries=2", "retries=0", cell="cures"),
    in_07b("breaker-states", "open_for=2", "open_for=60", cell="cures"),
    in_07b("storm-live", 'drills["both", on]', 'drills["bare", on]'),
    in_07b("shedding", "max_probability=0.95", "max_probability=0.0"),
    in_07b("longer-queue", "timeout=1.0", "timeout=100.0", cell="queue"),
    in_07b("queue-order", "crowd(order", 'crowd("fifo"'),
    in_07b("bulkhead", "hanging(15, seed)", "hanging(None, seed)"),
    in_07b("hedge-buys", "Hedge(after=0.1)", "Hedge(after=10)"),
    in_07b("hedge-costs", "hedge, tenth", "hedge, None"),
    in_07b("deadline-live", "Retry(deadline=1.0)", "Retry(deadline=100.0)", needs="live"),
    in_07b("fallback-live", 'Retry(fallback=Fallback("sold out today"))', "Retry()", needs="live"),
    Mutation(
        "kill-live",
        "07b-retries-and-breakers",
        "claim-kill-live",
        (Edit("claim-kill-live", "", NO_RETRIES),),
    ),
    in_07b("kill-sim", 'policy=Policy("least_connections", retries=0)', "policy=rules"),
]


def in_05(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("05-health-checks", claim, at, old, new, cell, needs)


NO_RATE = (
    Edit("live-blind", "failure_rate=0.15", "failure_rate=0.0"),
    Edit("live-blind", '["sim", "live"] if live else ["sim"]', '["sim"]'),
)

ACTIVE_AS_PASSIVE = 'users = {**users, "active": users["passive"]}'

HEALTH = [
    in_05("H1", "claim-h1-sim", "(None, active)", "(None, None)"),
    in_05("H1", "claim-h1-cost", "balancers=50", "balancers=1"),
    in_05("H3", "claim-h3-times", '"SIGSTOP": "hang"', '"SIGSTOP": "crash"'),
    in_05("H3", "claim-h3-times", "(checks, seed", "(CheckRules(fall=1), seed"),
    in_05("H3", "claim-h3-curve", "fall=fall)", "fall=1)"),
    in_05("H4", "claim-h4-fall", "fall=3", "fall=1"),
    in_05("H4", "claim-h4-rise", "rise=rise", "rise=2"),
    in_05("H2", "claim-h2-sim", '"passive": passive', '"passive": active', cell="both"),
    in_05("H2", "claim-h2-sim", '"active": active', '"active": passive', cell="both"),
    in_05("H2", "claim-h2-blind", "(active, outliers)", "(active, active)"),
    in_05("H2", "claim-h2-blind", "(active, outliers)", "(outliers, outliers)"),
    in_05("H5", "claim-h5-own", "/health/detail", "/health", cell="parts"),
    in_05("H5", "claim-h5-sim", '"deep check": (deep, 0.0)', '"deep check": (active, 0.0)'),
    in_05("H5", "claim-h5-sim", "(deep, 0.5)", "(deep, 0.0)"),
    in_05("H1", "claim-h1-h2-live", "", ACTIVE_AS_PASSIVE, needs="live"),
    in_05("H2", "claim-h1-h2-live", "max_fails=2", "max_fails=5", cell="live-night", needs="live"),
    in_05("H3", "claim-h3-live", "fleet.hang(name)", "fleet.crash(name)", cell="live-kill", needs="live"),
    in_05("H4", "claim-h4-live", "fall=fall, rise=1", "fall=1, rise=1", cell="live-flap", needs="live"),
    in_05(
        "H5", "claim-h5-live", '("/health/detail", 0.0)', '("/health", 0.0)', cell="live-kinds", needs="live"
    ),
    in_05(
        "H5",
        "claim-h5-live",
        '"deep": ("/health/detail", 0.0)',
        '"deep": ("/health/detail", 0.5)',
        cell="live-kinds",
        needs="live",
    ),
    Mutation("H2", "05-health-checks", "claim-h2-live", NO_RATE),
]


def in_06(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("06-draining", claim, at, old, new, cell, needs)


def as_if(results: str, name: str, other: str) -> str:
    """Return the line that has one result judged in the place of another."""
    return f"{results} = {{**{results}, {name!r}: {results}[{other!r}]}}"


ONLY_IN_SIM = Edit("timeout-live-run", "if live:", "if not live:")
KILLED_AT_ONCE = (
    'at_once = [Event(1, "remove", "s1"), Event(1, "crash", "s1")]\n'
    'left = run(three.but(events=at_once, duration=3), on="live", **quiet)'
)

DRAINS = [
    in_06("D1", "claim-d1-steps", "Intent.DRAIN", "Intent.READY"),
    in_06("D1", "claim-d1-live", 'backend="s1"', 'backend="s2"', needs="live"),
    in_06("D2", "claim-d2-sim", "settle=0.25))", "settle=0.25, drain=False))", cell="rolling-sim"),
    in_06("D2", "claim-d2-live", "", as_if("together", "rolling", "plain restart"), needs="live"),
    in_06("D3", "claim-d3-sim", "timeout=timeout", "timeout=2 * timeout", cell="timeout-sim"),
    Mutation(
        "D3",
        "06-draining",
        "claim-d3-live",
        (ONLY_IN_SIM, Edit("timeout-live-run", "timeout=0.6", "timeout=60")),
    ),
    in_06("D3", "claim-d3-never", 'leave(proxy, "s1", 1)', 'leave(proxy, "s2", 1)', needs="live"),
    in_06("D3", "claim-d3-ends", "timeout=0.5", "timeout=60", needs="live"),
    in_06("D3", "claim-d3-scaling", '"drain", name', '"undrain", name', cell="scaling-sim"),
    in_06("D3", "claim-d3-scaling-live", "", KILLED_AT_ONCE, needs="live"),
]


def in_02(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "live") -> Mutation:
    return swap("02-layers", claim, at, old, new, cell, needs)


WITHOUT_HEADER = tuple(
    Edit("claim-client-address", old, "") for old in (", accept_proxy=us", ', send_proxy="v2"')
)

LAYERS = [
    in_02("L2", "claim-l2-redis", "TcpProxy(only", "Proxy(only", needs="redis"),
    in_02("L2", "claim-l2-udp", '("round_robin"))) as', '("round_robin")), answers=1) as'),
    in_02(
        "L2", "claim-l2-tls", '(routes["shop.test"], routes=routes)', '(routes["shop.test"])', needs="cert"
    ),
    in_02(
        "L3",
        "claim-l3-sees",
        'connect_tls(entry, "shop.test")',
        "connect(entry)",
        cell="observe",
        needs="cert",
    ),
    in_02("L3", "claim-l3-keys", "TcpProxy(pool(), key=key)", "Proxy(pool(), keyed_by=key)"),
    in_02("L3", "claim-l3-paths", 'keyed_by="path"', 'keyed_by="flow"'),
    in_02(
        "L3",
        "claim-l3-paths",
        'TcpProxy(pool("rendezvous"), key="flow")',
        'TcpProxy(pool("first_available"))',
    ),
    in_02("L4", "claim-l4-asked", "Routing(RULES)", "Routing(RULES[::-1])", cell="rules", needs=""),
    in_02("L4", "claim-l4-live", "Routing(RULES)", "Routing(RULES[::-1])", cell="routed"),
    in_02("L6", "claim-l6-scene", 'Layer4("one")', "None", cell="pinned-build", needs=""),
    in_02("L6", "claim-l6-one", "TcpProxy(pool", "Proxy(pool"),
    in_02("L6", "claim-l6-one", ', Proxy(pool("least_connections"))', ', Proxy(pool("first_available"))'),
    in_02("L6", "claim-l6-http2", "TcpProxy(spoken)", 'Proxy(pool("random"), http2=Http2())', needs="http2"),
    in_02("L6", "claim-l6-http2", '(pool("least_connections")', '(pool("ip_hash")', needs="http2"),
    in_02("L6", "claim-l6-busy", "spread(layer,", "spread(7,", needs=""),
    in_02("L6", "claim-l6-crowd", 'layer4=Layer4("one")', "layer4=None", needs=""),
    in_02("L6", "claim-l6-live", "layer4=Layer4()", "layer4=None", needs=""),
    Mutation("client-address", "02-layers", "claim-client-address", WITHOUT_HEADER, needs="live"),
    in_02("failures", "claim-failures", ", Proxy(backends", ", TcpProxy(backends"),
    in_02("L1", "claim-l1-cpu", "", as_if("cpu", "layer 4", "layer 7")),
    in_02("L1", "claim-l1-latency", "", as_if("times", "layer 4", "layer 7")),
    in_02("L1", "claim-l1-short", '"layer 4": TcpProxy', '"layer 4": Proxy'),
    in_02("L5", "claim-l5-compression", "=Compression()", "=None", cell="compression-run"),
    in_02("L5", "claim-l5-tls", "", as_if("used", "layer 7, TLS ends", "layer 7, plain"), needs="cert"),
]


def in_09(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "live") -> Mutation:
    return swap("09-advanced-features", claim, at, old, new, cell, needs)


WITHOUT_TLS = (
    Edit("claim-rp3", "tls=tls", "tls=None"),
    Edit("claim-rp3", 'greet(port, "shop.test")', 'socket.create_connection(("127.0.0.1", port))'),
)
STRICTEST = '"lbkit": FirewallRules(mode="block", methods=("POST",))'

FEATURES = [
    in_09("V1", "claim-v1-stages", 'Sticky(secret="drawn at random, once")', "Sticky()"),
    in_09("V2", "claim-v2-asked", "Routing(RULES)", "Routing(RULES[::-1])", needs=""),
    in_09("V2", "claim-v2-live", "placed(RULES,", "placed(RULES[::-1],"),
    in_09("V2", "claim-v2-canary", 'key="cookie:user"', 'key=""'),
    in_09("V2", "claim-v2-mirror", "error_rate=0.5", "error_rate=0.0"),
    in_09("V3", "claim-v3-sni", "tls=tls", "tls=TlsRules(tls.certificates[0])", needs="cert"),
    in_09("V3", "claim-v3-alpn", "http2=Http2()", "http2=None", needs="cert"),
    Mutation("RP3", "09-advanced-features", "claim-rp3", WITHOUT_TLS, needs="cert"),
    in_09("V3", "claim-v3-resumption", "visit(port, ticket)", "visit(port)", needs="cert"),
    in_09("V4", "claim-v4-rates", '"lbkit": FirewallRules(mode="block")', '"lbkit": None', cell="send"),
    in_09("V4", "claim-v4-rates", '"lbkit": FirewallRules(mode="block")', STRICTEST, cell="send"),
    in_09("V4", "claim-v4-tuned", "corpus(name)", 'corpus(name.removesuffix("_unseen"))', needs=""),
    in_09("V4", "claim-v4-flood", '"burst": 10})', '"burst": 10}, key="global")', cell="flood"),
    in_09("V4", "claim-v4-flood", '"burst": 10})', '"burst": 1000})', cell="flood"),
    in_09("forged", "claim-forged", '["0.0.0.0/0"]', "[]"),
    in_09("trusted", "claim-trusted", '["127.0.0.1"]', '["0.0.0.0/0"]', cell="tier"),
    in_09("leaks", "claim-leaks", "hide=fields", "hide=[]"),
    in_09("timing", "claim-timing", "slow=0.08", "slow=0.0"),
    in_09("stampede", "claim-stampede", "coalesce=False", "coalesce=True", cell="stampede", needs=""),
    in_09("stampede-live", "claim-stampede-live", "cache=CACHES[way]", 'cache=CACHES["one for all"]'),
    in_09("cost", "claim-cost", "", as_if("cpu", "cache, hits", "nothing")),
    in_09("cost", "claim-cost", "", as_if("cpu", "firewall, lbkit", "nothing")),
]


def in_11(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("11-monitoring", claim, at, old, new, cell, needs)


IN_FLIGHT = 'sum(ask(Value("lbkit_requests_in_flight"), at).values())'
MISSED = 'fired = [alert for alert in fired if alert.rule.name != "ServerDown"]'
BLIND = 'QUICK = [rule for rule in QUICK if rule.name != "ServerDown"]'
HASTY = "QUICK = [*QUICK, high_latency(0.01, window=2, lasts=0)]"
TOLD = 'notices = [notice for notice in notices if notice.name != "ServerDown"]'
NERVOUS = "calm = [high_error_rate(0.005, window=120, lasts=0)]"

MONITORING = [
    in_11("M2", "claim-m2-tail", "SLOW = 0.15", "SLOW = 1.0", cell="tail-build"),
    in_11("M2", "claim-m2-fan-out", "max(rng.choices", "min(rng.choices", cell="fan-out"),
    in_11("M2", "claim-m2-averaged", "Exponential(0.2)", "Exponential(0.02)", cell="averaged"),
    in_11("M2", "claim-m2-omission", "Closed(users=1, think=0.0)", "Poisson(100)", cell="omission"),
    in_11("M2", "claim-m2-omission", "Poisson(100)", "Closed(users=2, think=0.0)", cell="omission"),
    in_11("M1", "claim-m1", '_total", 3)', '_total", 3, {"backend": "s1"})', needs="live"),
    in_11("M2", "claim-m2-parts", "lbkit_{name}_duration", "lbkit_first_byte_duration", needs="live"),
    in_11("M3", "claim-m3", "KILLED + 2", "KILLED - 1", needs="live"),
    in_11("M4", "claim-m4", "(KILLED, 8)", "(KILLED, KILLED)", needs="live"),
    in_11("little", "claim-little", "result.mean)", "result.percentile(50))"),
    in_11("little-live", "claim-little-live", IN_FLIGHT, IN_FLIGHT[4:-10] + '["s1"]', needs="live"),
    in_11("utilisation", "claim-utilisation", "workers=8", "workers=4"),
    in_11("usl", "claim-usl", "ask_each=0.0001", "ask_each=0.0", cell="usl-build"),
    in_11("usl-doubt", "claim-usl-doubt", "together(n, 0.0, seed)", "together(n, 0.0003, seed)"),
    in_11("usl-live", "claim-usl-threads", " + 0.0002 * (workers - 1)", "", cell="usl-threads", needs="live"),
    in_11("capacity", "claim-capacity", "limit=0.2", "limit=0.15"),
    in_11(
        "capacity-live",
        "claim-capacity-live",
        "experiment_with(plan.servers)",
        "experiment_with(2)",
        needs="live",
    ),
    in_11("M5", "claim-m5-fires", "", MISSED),
    in_11("M5", "claim-m5-fires", "", NERVOUS),
    in_11("M5", "claim-m5-fatigue", "", as_if("judged", "nervous, quiet day", "calm")),
    in_11("M5", "claim-m5-live", "", BLIND, needs="live"),
    in_11("M5", "claim-m5-live", "", HASTY, needs="live"),
    in_11("M5", "claim-m5-prometheus", "", TOLD, needs="monitor"),
    in_11("trace", "claim-trace", "Hedge(after=0.2)", "Hedge(after=5.0)", cell="trace-run", needs="tracing"),
    in_11("diagnosis", "claim-diagnosis", "at_load(1.3)", "at_load(0.5)"),
]


def in_08(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("08-around-the-world", claim, at, old, new, cell, needs)


AT_HOME = "measured = run(shop.but(geography=None, arrivals=Poisson(40), duration=3))"
ANYWHERE = 'measured = run(shop.but(policy="random", arrivals=Poisson(40), duration=3))'
DETOUR = 'internet.routes(dict.fromkeys(sites, 0) | {"site-fra": 1})'

WORLD = [
    in_08("G1", "claim-g1", 'shop.policy, "random"', '"random", "random"'),
    in_08("G1", "claim-g1-live", "", ANYWHERE, needs="live"),
    in_08("G1", "claim-g1-live", "", AT_HOME, needs="live"),
    in_08("G2", "claim-g2", "failing(seed, fence=fence)", "failing(seed)"),
    in_08("G2", "claim-g2-all", "fenced.choose", 'world.steering("nearest").choose'),
    in_08("G2", "claim-g2-live", "", "happened = run(failing())", needs="live"),
    in_08("G2", "claim-g2-live", "", "happened = run(failing(fence=fence).but(events=[]))", needs="live"),
    in_08("G3", "claim-g3", "least=1800", "least=0", cell="ttl-model"),
    in_08("G3", "claim-g3", "ttl=60, duration", "ttl=600, duration", cell="ttl-resolvers"),
    in_08("G3", "claim-g3-ttl", "DnsFailover(ttl, 30", "DnsFailover(60, 30"),
    in_08("G3", "claim-g3-live", "ttl=1.0", "ttl=9.0", cell="g3-live", needs="live"),
    in_08("skew", "claim-skew", "Crowd(200, skew, rate=100)", "Crowd(200, 0.0, rate=100)", cell="skew"),
    in_08(
        "G4",
        "claim-g4",
        'world.steering("nearest")',
        'world.steering("failover")',
        cell="dns-zone",
        needs="dns",
    ),
    in_08("G5", "claim-g5", '["site-iad", "site-sin"]', '["site-fra", "site-sin"]', cell="anycast-after"),
    in_08("G5", "claim-g5", "internet.routes(sites)", DETOUR, cell="anycast-map"),
    in_08("G5", "claim-g5-flaps", "[sites, sites[1:]] * 3 + [sites]", "[sites] * 7"),
    in_08("G6", "claim-g6", "skew=0.8", "skew=0.0", cell="cdn-run"),
    in_08("G6", "claim-g6-tiers", '{"parent": "tier"}', "{}", cell="cdn-tiers"),
    in_08("G6", "claim-g6-tiers", '"inside": "random", ', "", cell="cdn-tiers"),
    in_08("G6", "claim-g6-purge", "cdn.purge(product)", "2"),
    in_08("G7", "claim-g7", "if capacity:", "if False:", cell="cloud-build"),
    in_08("G7", "claim-g7", '"capacity": 15', '"capacity": 60', cell="cloud-build"),
    in_08("G7", "claim-g7-failover", "fall=2", "fall=20", cell="fence-run"),
]

STAGES = [  # what scenes show
    in_04("sticky-newcomer", "stage-check", "sticky=Sticky() if sticky else None", "", cell="stage-build"),
    swap(
        "05-health-checks",
        "detection-on-stage",
        "first-stage-check",
        "fall=fall",
        "fall=1",
        cell="stage-build",
    ),
    swap(
        "06-draining",
        "drained-on-stage",
        "stage-check",
        'Event(2, "drain", "s1")',
        'Event(6, "drain", "s1")',
        cell="stage-build",
    ),
    in_07("bucket-on-stage", "stage-check", '"rate": 5', '"rate": 50', cell="stage-build"),
    in_09("stampede", "stage-check", "coalesce=coalesce", "coalesce=False", cell="stage-build", needs=""),
]


def in_10(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("10-multi-layer-systems", claim, at, old, new, cell, needs)


def directed(packet: Any, fields: int = 5) -> str:
    """The name of a flow whose two directions are not the same."""
    return f"{packet.source} {packet.destination}"


BREAKS = "health = RULES if breakers else None"
FALLS_BACK = 'Fallback("[]") if breakers else None'
KEY = "lbkit.net.geneve.packet.Packet.key"
RETRIES_OF_DATABASE = 'policy=again, name="database"'

SYSTEMS = [
    in_10("W4", "claim-w4-each", "regions=2", "regions=1", cell="six"),
    in_10("W4", "claim-w4-each", "farms=1", "farms=2", cell="six"),
    in_10("W4", "claim-w4-up", '"farm-1a"', '"s1"'),
    in_10("W4", "claim-w4-names", "ttl=ttl", "ttl=30.0"),
    in_10("W1", "claim-w1-dns", '"nearest"', '"weighted"', cell="regions"),
    in_10("W1", "claim-w1-edge", "Policy(policy,", 'Policy("power_of_two",', cell="edge"),
    in_10("W1", "claim-w1-filter", '{"draws": 3}', '{"draws": 1}'),
    in_10("W1", "claim-w1-filter", '("choice_of_two", {"draws": 1})', '("power_of_two", {})'),
    in_10("utilisation-is-blind", "claim-utilisation-is-blind", "full=8", "full=100"),
    in_10(
        "utilisation-is-blind",
        "claim-utilisation-is-blind",
        '"choice of two": [cold("choice_of_two"',
        '"choice of two": [cold("power_of_two"',
    ),
    in_10("W1", "claim-w1-placement", "on_demand=not ahead", "on_demand=True", cell="placement"),
    in_10("W1", "claim-w1-misjudged", "rng.random() < misjudged", "rng.random() < 0", cell="forecast"),
    in_10("W1", "claim-w1-misjudged", "0.1, 0.2, 0.4", "0.1, 0.3, 0.4"),
    in_10("W1", "claim-w1-together", "evening(ahead=True)", "evening(ahead=False)"),
    in_10("W2", "claim-w2-cascade", BREAKS, "health = None", cell="chain"),
    in_10("W2", "claim-w2-cascade", FALLS_BACK, "None", cell="chain"),
    in_10("W2", "claim-w2-multiply", RETRIES_OF_DATABASE, 'policy=Policy(), name="database"'),
    in_10("W2", "claim-w2-recovery", BREAKS, "health = None", cell="chain"),
    in_10(
        "W2",
        "claim-w2-live",
        'small(breakers), on="live"',
        'small(False), on="live"',
        needs="live",
        cell="cascade-live",
    ),
    in_10("W3", "claim-w3-sees", 'connections="one"', 'connections="request"'),
    in_10("W3", "claim-w3-sees", "aws.nlb(servers(2)).but", "aws.alb(GROUPS).but", cell="aws"),
    in_10("W3", "claim-w3-zones", "cross_zone=cross_zone", "cross_zone=True", cell="zones"),
    in_10("W3", "claim-w3-anomaly", "anomaly_mitigation=True", "anomaly_mitigation=False"),
    in_10(
        "W3",
        "claim-w3-import",
        '"Type": "network"',
        '"Type": "application"',
        cell="definition",
        needs="documents",
    ),
    Mutation("W3", "10-multi-layer-systems", "claim-w3-gwlb", patches=((KEY, directed),), needs="live"),
    in_10("W3", "claim-w3-failover", "rebalance=rebalance", "rebalance=False", cell="death", needs="live"),
]


def in_12(claim: str, at: str, old: str, new: str, cell: str = "", needs: str = "") -> Mutation:
    return swap("12-capstone", claim, at, old, new, cell, needs)


AS_THE_BOOK = '**references(), "the course": references()["by the book"]'
NOTHING_MISSING = "**dict.fromkeys(without_each(course), course)"
WITHOUT_CHOICE_OF_TWO = 'ALGORITHMS = [name for name in ALGORITHMS if name != "choice_of_two"]'

CAPSTONE = [
    in_12("Z2", "claim-z2-whole", "**references()", AS_THE_BOOK, cell="card"),
    in_12("Z2", "claim-z2-whole", "ticket_shop()", "ticket_shop(incidents=[])", cell="company"),
    in_12("Z2", "claim-z2-parts", "**without_each(course)", NOTHING_MISSING, cell="parts"),
    in_12("Z2", "claim-z2-help", 'references()["by the book"]', "rich", cell="help"),
    in_12("Z2", "claim-z2-live", "", as_if("real", "the course", "three servers"), needs="live"),
    in_12("Z1", "claim-z1", 'Policy(key="path")', 'Policy(key="client")', cell="systems"),
    in_12("Z1", "claim-z1-requirement", 'experiment, "p99"', 'experiment, "mean"'),
    in_12("Z1", "claim-z1-worst", "", WITHOUT_CHOICE_OF_TWO),
]

MUTATIONS: list[Mutation] = [
    *STAGES,
    *ALGORITHMS,
    *PROXIES,
    *LAYERS,
    *STICKY_SESSIONS,
    *LIMITS,
    *RETRIES,
    *HEALTH,
    *DRAINS,
    *FEATURES,
    *MONITORING,
    *WORLD,
    *SYSTEMS,
    *CAPSTONE,
]
