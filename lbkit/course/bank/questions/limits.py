"""Questions on notebook 07: rate limits and queues."""

from __future__ import annotations

from lbkit import Admission, Constant, Experiment, OnOff, Traffic, run, servers
from lbkit.core.limit import FixedWindow, LeakyQueue, Limiter, SlidingCounter, SlidingLog, TokenBucket, play
from lbkit.course.bank.question import Choice, Draw, Number, Option, Questions

ask = Questions("07-rate-limits")


@ask("claim-t3-counts")
def minute_of_silence(draw: Draw) -> Number:
    rate, burst, quiet = draw.choice([5, 10]), draw.choice([10, 20, 30]), draw.choice([30, 60])
    bucket = TokenBucket(rate=rate, burst=burst)
    passed = sum(said.allowed for _, said in play(bucket, [0.0] + [float(quiet)] * 400)[1:])
    return Number(
        f"A token bucket gets {rate} tokens a second and has room for {burst}. After {quiet} s of silence, "
        "400 requests come at the same moment. How many are let in?",
        passed,
        "requests",
        "Tokens that do not fit into the bucket are lost.",
        {
            "what was not used is saved up": float(min(400, rate * quiet)),
            "never more than the rate": float(rate),
        },
        within=0.0,
    )


@ask("claim-t5-sim", what_if=True)
def at_the_boundary(draw: Draw) -> Number:
    limit = draw.choice([10, 20, 50])
    kinds: dict[str, Limiter] = {
        "fixed window": FixedWindow(limit=limit, window=1),
        "sliding log": SlidingLog(limit=limit, window=1),
    }
    name = draw.choice(list(kinds))
    attack = [0.95 + i / 1000 for i in range(limit)] + [1.0 + i / 1000 for i in range(limit)]
    passed = sum(said.allowed for _, said in play(kinds[name], attack))
    return Number(
        f"A {name} allows {limit} requests a second. A client sends {limit} just before a full second and "
        f"{limit} just after it. How many are let in within that tenth of a second?",
        passed,
        "requests",
        "A fixed window forgets everything at its boundary; a log of the last second does not.",
        {f"{limit} a second is {limit} in any second": float(limit)}
        if passed > limit
        else {"each limit doubles at a boundary": 2.0 * limit},
        within=0.0,
    )


@ask("claim-t4-sim")
def longest_wait_in_the_queue(draw: Draw) -> Number:
    rate, room = draw.choice([2, 5, 10]), draw.choice([10, 20])
    waits = [
        said.delay for _, said in play(LeakyQueue(rate=rate, capacity=room), [0.0] * 100) if said.allowed
    ]
    return Number(
        f"A leaky bucket, as a queue, releases {rate} requests a second and has room for {room}. A hundred "
        "come at once. How long does the last one that is accepted wait?",
        max(waits),
        "s",
        "A queue turns a burst into waiting: places divided by rate.",
        {"what is accepted is served at once": 0.0, "all hundred wait": 100 / rate},
        within=0.12,
    )


@ask("retry")
def come_back_later(draw: Draw) -> Number:
    rate, burst = draw.choice([2, 4, 5]), draw.choice([5, 10])
    bucket = TokenBucket(rate=rate, burst=burst)
    said = [bucket.admit("ann", 0.0) for _ in range(burst + 1)][-1]
    return Number(
        f"A bucket of {burst} with {rate} tokens a second is empty. After how many seconds is a request let "
        "in again?",
        said.retry_after,
        "s",
        "A request needs one token; it need not wait for a full bucket.",
        {"it waits until the bucket is full": burst / rate, "limits count in whole seconds": 1.0},
    )


@ask("claim-t5-live", what_if=True)
def two_proxies_one_limit(draw: Draw) -> Number:
    proxies, limit = draw.choice([2, 3, 4]), draw.choice([10, 20])
    doors = [SlidingLog(limit=limit, window=1) for _ in range(proxies)]
    passed = sum(doors[i % proxies].allows("ann", i / 1000) for i in range(500))
    return Number(
        f"{proxies} proxies each allow a client {limit} requests a second, and do not talk to each other. A "
        "client sends 500 requests in half a second, to all of them in turns. How many are let in?",
        passed,
        "requests",
        "Each counts for itself. A limit for all needs a shared store, or a share of the limit each.",
        {f"{limit} a second is {limit} a "
            "second": float(limit), "a client that is refused by one is refused by all": limit / proxies},
        within=0.0,
    )  # fmt: skip


@ask("counter", what_if=True)
def steady_client(draw: Draw) -> Choice:
    limit = draw.choice([10, 20])
    kinds: dict[str, Limiter] = {
        "sliding log": SlidingLog(limit=limit, window=1),
        "token bucket": TokenBucket(rate=limit, burst=limit),
        "sliding counter": SlidingCounter(limit=limit, window=1),
    }
    kind = draw.choice(list(kinds))
    arrivals = [second + 0.6 + 0.3 * i / limit for second in range(8) for i in range(limit)]
    denied = sum(not said.allowed for _, said in play(kinds[kind], arrivals))
    return Choice(
        f"In each second, a client sends {limit} requests within 0.3 s, at the same place of the second. A "
        f"{kind} allows {limit} a second"
        + (f", and a burst of {limit}." if kind == "token bucket" else ".")
        + " Are any refused?",
        (
            Option("no", denied == 0, "who keeps within a limit is never refused"),
            Option("yes, some", denied > 0, "a limiter refuses whatever comes in bunches"),
        ),
        f"{denied} of {len(arrivals)}. A sliding counter assumes that the last window was even up to its "
        "end, so it may refuse what a log would admit.",
    )


@ask("claim-t1-sim", what_if=True)
def shape_or_drop(draw: Draw) -> Choice:
    bursts = Experiment(
        servers(1, service=Constant(0.01), queue=5),
        Traffic(OnOff(peak=250, on=0.2, off=0.6), duration=8, clients=5),
        seed=draw.randrange(50),
    )
    room = draw.choice([5, 300])
    gate = Admission(rate=90, max_queue=room, timeout=5)
    lost = {
        "no shaping": run(bursts).error_rate,
        "a shaper before it": run(bursts.but(admission=gate)).error_rate,
    }
    low, high = min(lost.values()), max(lost.values())
    thinks = {
        "no shaping": "a queue more is a loss more",
        "a shaper before it": "shaping always helps, however short its queue",
    }
    return Choice(
        "A server can do 100 requests a second and has a queue of five. Requests come in bursts of 250 a "
        f"second, with pauses. A shaper that passes on 90 a second would have room for {room} requests. With "
        "which are fewer requests rejected?",
        (
            *(Option(name, share == low and high > 1.3 * low, thinks[name]) for name, share in lost.items()),
            Option("no difference", high < 1.1 * low, "a burst is lost, wherever it waits"),
        ),
        f"{lost['no shaping']:.0%} are rejected without, {lost['a shaper before it']:.0%} with it. What "
        "makes the difference is room to wait, not the rate.",
    )
