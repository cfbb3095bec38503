"""Checks of the lab "Retry, within reason"."""

import random
from collections import Counter
from math import inf

from lbkit.course import Failed, Task, Times, Wrong, expect

task = Task(
    title="Retry, within reason",
    module="retry_within_reason",
    defines=("RetryRule",),
    minutes=75,
    difficulty=2,
    before="notebook 07b, up to the retry budget",
)

SERVERS = ("a", "b", "c", "d")
HARMLESS_TWICE = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


def failure(method="GET", sent=True, tried=("a",), servers=SERVERS, now=100.0, deadline=inf):
    return Failed(method, sent, list(tried), list(servers), now, deadline)


def rule_of(RetryRule, seed=1, **settings):
    return RetryRule(**({"ratio": 1.0, "burst": 1000} | settings), rng=random.Random(seed))


def after(rule, failed):
    """Ask the rule; return (server, pause) or None."""
    answer = rule.after(failed)
    if answer is None:
        return None
    right = isinstance(answer, (tuple, list)) and len(answer) == 2
    if not right or not isinstance(answer[0], str) or not isinstance(answer[1], (int, float)):
        raise Wrong("a pair (server, pause in seconds), or None", f"`after` returned {answer!r}")
    return answer


def told(answer):
    return "it gave up" if answer is None else f"it sent the request to {answer[0]!r} in {answer[1]:.3f} s"


@task.check(points=2)
def nothing_is_ordered_twice(RetryRule):
    """A request that a server may have acted on is not sent again, unless twice does what once does."""
    for method in ("POST", "PATCH", "CONNECT", "ORDER"):
        answer = after(rule_of(RetryRule), failure(method))
        expect(
            answer is None,
            f"None for a {method} that was sent, and whose connection then closed without an answer",
            told(answer),
            "the parcel may be packed already. Which methods are harmless twice, by definition? Any other is not",
        )


@task.check(points=2)
def what_is_harmless_twice_is_repeated(RetryRule):
    """GET, HEAD, PUT, DELETE, OPTIONS and TRACE are sent again, whatever the server has done."""
    for method in HARMLESS_TWICE:
        answer = after(rule_of(RetryRule), failure(method))
        expect(
            answer is not None,
            f"another attempt for a {method} that was sent and got no answer; b, c and d have not been tried",
            told(answer),
            "a method is idempotent if twice leaves things as once does: to delete something twice, for example",
        )


@task.check(points=1)
def what_was_never_sent_is_repeated(RetryRule):
    """A request whose connection was refused is sent again, a POST too."""
    for method in ("POST", "PATCH", "GET"):
        answer = after(rule_of(RetryRule), failure(method, sent=False))
        expect(
            answer is not None,
            f"another attempt for a {method} with sent=False: the server refused the connection",
            told(answer),
            "no server has seen this request yet",
        )


@task.check(points=2)
def another_server_each_time(RetryRule):
    """A retry goes to a server that the request has not been to; with none left it gives up."""
    for tried in (("a",), ("c",), ("a", "b"), ("b", "d", "a")):
        for seed in range(10):
            answer = after(rule_of(RetryRule, seed), failure(tried=tried))
            left = [server for server in SERVERS if server not in tried]
            expect(
                answer is not None and answer[0] in left,
                f"one of {left}: of {list(SERVERS)} the request has been to {list(tried)}",
                told(answer),
                "leave out all of `failed.tried`, not only the latest one",
            )
    for tried, servers in ((SERVERS, SERVERS), (("a",), ("a",)), (("b", "a"), ("a",))):
        answer = after(rule_of(RetryRule), failure(tried=tried, servers=servers))
        expect(
            answer is None,
            f"None: the request has been to {list(tried)}, and the servers are {list(servers)}",
            told(answer),
            "what is left when all servers have been tried?",
        )


@task.check(points=1)
def the_others_share_the_retries(RetryRule):
    """When a server fails, the servers that are left all get some of its requests."""
    rule = rule_of(RetryRule)
    counts = Counter()
    for _ in range(300):
        rule.began()
        if answer := after(rule, failure()):
            counts[answer[0]] += 1
    expect(
        all(counts[server] >= 50 for server in "bcd") or counts["a"] or not counts,  # or other checks say so
        "about 100 of 300 retries at each of b, c and d: a has failed them all",
        ", ".join(f"{counts[server]} at {server}" for server in "bcd"),
        "if all retries go to the same neighbour, it has twice its load, and is the next to fail",
    )


def storm(rule, requests, tries=3):
    """Let requests fail at every server; return how many retries there were."""
    retries = 0
    for number in range(requests):
        rule.began()
        tried = ["a"]
        while len(tried) <= tries and (answer := after(rule, failure(tried=tried, now=float(number)))):
            retries += 1
            tried.append(next(s for s in SERVERS if s not in tried))
    return retries


@task.check(points=3)
def a_budget_bounds_the_retries(RetryRule):
    """When everything fails, there are at most burst + ratio x requests retries, and all of these."""
    for ratio, burst, requests in ((0.2, 10, 1000), (0.1, 5, 500), (0.5, 1, 100)):
        got = storm(rule_of(RetryRule, ratio=ratio, burst=burst), requests)
        due = burst + ratio * requests
        expect(
            due - 2 <= got <= due + 1e-6,
            f"about {due:g} retries for {requests} requests that fail everywhere (ratio {ratio}, burst {burst})",
            f"{got} retries",
            "each request that begins adds `ratio` tokens, each retry takes one, and without a whole token there "
            "is no retry",
        )
    got = storm(rule_of(RetryRule, ratio=0.0, burst=0), 20)
    expect(got == 0, "no retries at all with ratio 0 and burst 0", f"{got}", "is there a token for each retry?")


@task.check(points=2)
def a_long_peace_saves_no_more_than_the_burst(RetryRule):
    """After ten thousand requests without a failure, `burst` retries are saved up, and no more."""
    rule = rule_of(RetryRule, ratio=0.2, burst=10)
    for _ in range(10_000):
        rule.began()
    got = sum(after(rule, failure()) is not None for _ in range(200))
    if got == 200 and all(after(rule, failure()) for _ in range(2500)):
        return  # there is no budget at all: another check says so
    expect(
        got == 10,
        "10 retries when 200 requests fail at once: the burst",
        f"{got} retries",
        "a budget that was saved up for hours is no budget on the day that it is needed: where do the tokens stop?",
    )


@task.check(points=1)
def giving_up_costs_nothing(RetryRule):
    """An attempt that is not repeated takes nothing from the budget."""
    cases = {
        "a POST that was sent": failure("POST"),
        "a request that has been to all servers": failure(tried=SERVERS),
        "a request past its deadline": failure(now=100.0, deadline=99.0),
    }
    for what, case in cases.items():
        rule = rule_of(RetryRule, ratio=0.0, burst=3)
        if any([after(rule, case) for _ in range(10)]):
            continue  # it should have given up: another check says so
        got = sum(after(rule, failure()) is not None for _ in range(3))
        expect(
            got == 3,
            f"all 3 retries still there, after it gave up ten times because of {what}",
            f"{got} left",
            "take the token last, when nothing can speak against the retry any more",
        )


def pauses(RetryRule, tried, count=400, seed=1, **settings):
    rule = rule_of(RetryRule, seed, **settings)
    answers = []
    for _ in range(count):
        rule.began()
        answers.append(after(rule, failure(tried=tried)))
    return [answer[1] for answer in answers if answer]


@task.check(points=2)
def the_pauses_double_up_to_the_cap(RetryRule):
    """The longest pause is `base` before the first retry, then twice as long each time, at most `cap`."""
    for base, cap in ((0.05, 0.3), (0.5, 60.0)):
        for number, tried in enumerate((["a"], ["a", "b"], ["a", "b", "c"])):
            for more in (0, 5):
                servers = [f"s{n}" for n in range(more)]
                row = [*servers, *tried]
                rule = rule_of(RetryRule, base=base, cap=cap)
                got = []
                for _ in range(400):
                    rule.began()
                    if answer := after(rule, failure(tried=row, servers=[*servers, *SERVERS])):
                        got.append(answer[1])
                due = min(cap, base * 2 ** (number + more))
                if not got:
                    continue  # another check says that nothing is repeated
                expect(
                    min(got) >= 0 and 0.9 * due <= max(got) <= due * (1 + 1e-9),
                    f"pauses of up to {due:g} s before retry {number + more + 1} (base {base:g}, cap {cap:g})",
                    f"the longest of 400 was {max(got):.3f} s",
                    "how many retries has this request had? `failed.tried` tells; the first attempt is not a retry",
                )


@task.check(points=2)
def clients_do_not_return_in_step(RetryRule):
    """Full jitter: each pause is drawn evenly from zero to the longest one."""
    for tried in (["a"], ["a", "b", "c"]):
        got = pauses(RetryRule, tried, base=1.0, cap=4.0)
        if not got:
            return  # another check says that nothing is repeated
        longest = max(got)
        quarters = Counter(min(3, int(4 * pause / longest)) if longest else 3 for pause in got)
        expect(
            min(quarters[n] for n in range(4)) >= len(got) / 8,
            f"that about a quarter of {len(got)} pauses lies in each quarter of 0 to {longest:.2f} s, the longest",
            ", ".join(f"{quarters[n]} in the {word}" for n, word in enumerate(("first", "second", "third", "last"))),
            "400 clients failed at the same moment; short pauses must be as likely as long ones, down to zero",
            Times({"40 of them": got[:40]}, max(longest, 0.01)),
        )


@task.check(points=2)
def nothing_after_the_deadline(RetryRule):
    """There is no retry that would begin at the deadline or later."""
    for left in (0.0, -1.0, 0.02, 0.5):
        rule = rule_of(RetryRule, base=1.0, cap=1.0)
        for _ in range(100):
            answer = after(rule, failure(now=100.0, deadline=100.0 + left))
            expect(
                answer is None or answer[1] < left,
                f"None, or a pause of less than {left:g} s: it is 100 s by the clock, the deadline is {100 + left:g} s",
                told(answer),
                "by then the client has gone; count the pause, too",
            )


@task.check(points=3, hidden=True)
def whole_days(RetryRule):
    """On random days each request, retry, pause and token is as the contract says."""
    for seed in range(40):
        rng = random.Random(seed)
        ratio, burst = rng.choice((0.0, 0.1, 0.25, 1.0)), rng.choice((0, 1, 3, 20))
        base, cap = rng.choice(((0.1, 0.1), (0.05, 1.0), (1.0, 3.0)))
        rule = rule_of(RetryRule, seed, ratio=ratio, burst=burst, base=base, cap=cap)
        servers, tokens, now = [f"s{n}" for n in range(rng.randint(1, 6))], float(burst), 0.0
        for _ in range(200):
            now += rng.expovariate(10)
            rule.began()
            tokens = min(burst, tokens + ratio)
            method = rng.choice((*HARMLESS_TWICE, "POST", "PATCH"))
            tried, at, deadline = [rng.choice(servers)], now, now + rng.choice((0.01, 0.3, 100.0))
            while rng.random() < 0.8:
                sent = rng.random() < 0.5
                answer = after(rule, Failed(method, sent, list(tried), list(servers), at, deadline))
                may = (not sent or method in HARMLESS_TWICE) and len(tried) < len(servers) and at < deadline
                longest = min(cap, base * 2 ** (len(tried) - 1))
                if answer is None:
                    late = at + longest >= deadline
                    expect(not may or late or tokens < 1 + 1e-6, "another attempt", told(answer))
                    break
                server, pause = answer
                expect(may and tokens >= 1 - 1e-6, "None", told(answer))
                expect(server in servers and server not in tried, "a server not tried yet", told(answer))
                expect(0 <= pause <= longest + 1e-9 and at + pause < deadline, f"at most {longest}", told(answer))
                tokens -= 1
                at += pause
                tried.append(server)
