from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbkit.core import AlgorithmError, Backend, Balancer, NoBackend, Pool, Why, forget, make_balancer
from lbkit.core.balance import algorithms
from lbkit.core.contract import CONTRACT, Overtime
from lbkit.core.limit import TokenBucket, limiters

HERE = __file__


@pytest.fixture(autouse=True)
def _forget_what_is_defined() -> Iterator[None]:
    before = set(algorithms())
    yield
    for name in set(algorithms()) - before:
        forget(name)


def pool_of(balancer: Balancer) -> Pool:
    return Pool([Backend(name) for name in "abc"], balancer)


def failure(balancer: Balancer) -> AlgorithmError:
    with pytest.raises(AlgorithmError) as caught:
        pool_of(balancer).pick("k", 0.0)
    return caught.value


def line_of(text: str) -> int:
    """The number of the one line of this file that ends with a comment."""
    lines = Path(HERE).read_text(encoding="utf-8").splitlines()
    (found,) = (i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}"))
    return found


# -- what a pick may return -----------------------------------------------------------------------


def test_a_pick_of_none_asks_whether_a_return_is_missing() -> None:
    class Forgetful(Balancer):
        def pick(self, backends, key, now):
            min(backends, key=lambda b: b.in_flight)  # forgotten

    error = failure(Forgetful())
    assert str(error) == (
        f"Forgetful.pick returned None (is a `return` missing?); {HERE}, line {line_of('forgotten')} "
        "(`min(backends, key=lambda b: b.in_flight)  # forgotten`). "
        "The contract: pick(backends, key, now) returns one of `backends`, and does not wait."
    )
    assert error.algorithm == "forgetful"


@pytest.mark.parametrize(
    ("picked", "said"),
    [
        ("a", "returned 'a', which is no backend: return the backend itself"),
        (1, "returned 1, which is no backend: return the backend itself"),
        ([], "returned [], which is not among `backends`"),
        (Backend("a"), "returned <Backend a weight=1 in_flight=0 ready>, which is not among `backends`"),
    ],
)
def test_what_is_no_backend_of_the_pool_is_refused(picked: object, said: str) -> None:
    class Strange(Balancer):
        def pick(self, backends, key, now):
            return picked  # strange

    error = failure(Strange())
    assert error.what == f"Strange.pick {said}"
    assert error.place == f"{HERE}, line {line_of('strange')}"


def test_a_backend_that_is_not_eligible_any_more_is_refused() -> None:
    class Faithful(Balancer):
        def pick(self, backends, key, now):
            self.first = getattr(self, "first", backends[0])
            return self.first

    pool = pool_of(Faithful())
    assert pool.pick("k", 0.0).name == "a"
    pool.set_health("a", False)
    with pytest.raises(AlgorithmError, match="which is not among `backends`"):
        pool.pick("k", 0.0)
    assert pool["a"].in_flight == 1


def test_a_backend_that_a_retry_has_tried_is_refused() -> None:
    class Stubborn(Balancer):
        def rebuild(self, backends):
            self.first = backends[0]

        def pick(self, backends, key, now):
            return self.first

    pool = pool_of(Stubborn())
    with pytest.raises(AlgorithmError, match=r"Stubborn.pick returned .* tried already") as caught:
        pool.pick("k", 0.0, exclude=[pool["a"]])
    assert caught.value.contract == CONTRACT["pick"]
    with pytest.raises(NoBackend):
        pool.pick("k", 0.0, exclude=pool.backends)


def test_of_several_returns_the_method_is_named() -> None:
    class Two(Balancer):
        def pick(self, backends, key, now):  # two
            if key:
                return 0
            return 1

    assert failure(Two()).place.endswith(f"line {line_of('two')}")


# -- what a method may raise ----------------------------------------------------------------------


def test_an_error_shows_the_learners_line_not_the_librarys() -> None:
    class Unlucky(Balancer):
        def pick(self, backends, key, now):
            return self.one_of([])

        def one_of(self, backends):
            return random.choice(backends)  # unlucky

    error = failure(Unlucky())
    assert error.what == "Unlucky.pick raised IndexError: Cannot choose from an empty sequence"
    assert error.place == f"{HERE}, line {line_of('unlucky')}"


def test_wrong_parameters_are_told_with_the_line_of_the_definition() -> None:
    class Short(Balancer):
        def pick(self, backends):  # short
            return backends[0]

    error = failure(Short())
    assert "takes 2 positional arguments but 4 were given" in error.what
    assert error.place.endswith(f"line {line_of('short')}")


def test_a_class_without_a_pick_is_named() -> None:
    class Empty(Balancer):
        pass

    error = failure(Empty())
    assert str(error).startswith(
        "Empty.pick raised NotImplementedError: Empty has no pick(backends, key, now); "
    )
    assert error.place == f"class Empty in {__name__}"


def test_other_methods_that_raise_are_named_too() -> None:
    class Fragile(Balancer):
        broken = ""

        def __getattribute__(self, name):
            if name == type(self).broken:
                raise LookupError(name)
            return super().__getattribute__(name)

        def pick(self, backends, key, now):
            return backends[0]

    pool = pool_of(Fragile())
    lease = pool.acquire("k", 0.0)
    for method, call in {
        "done": lambda: lease.release(True, 1.0),
        "explain": lambda: pool.explain("k", 0.0),
        "probe_targets": lambda: pool.probe_targets(pool["a"], 0.0),
        "rebuild": lambda: pool.set_weight("a", 2.0),
        "members": lambda: pool.set_weight("a", 3.0),
    }.items():
        Fragile.broken = method
        with pytest.raises(AlgorithmError, match=f"Fragile.{method} raised LookupError"):
            call()
        Fragile.broken = ""


@pytest.mark.parametrize("name", [3, "", None])
@pytest.mark.parametrize("base", [Balancer, TokenBucket])
def test_a_name_that_is_no_text_is_refused(base: type, name: object) -> None:
    """In the registry it would break whatever lists the names."""
    known = algorithms(), limiters()
    with pytest.raises(ValueError, match=r"Odd\.name is .*: use a text, such as 'odd'"):
        type("Odd", (base,), {"name": name})
    assert (algorithms(), limiters()) == known


def test_exit_in_a_method_is_an_error_of_the_algorithm() -> None:
    """It would end the notebook, or the proxy."""

    class Leaving(Balancer):
        def pick(self, backends, key, now):
            raise SystemExit(1)  # leaving

    error = failure(Leaving())
    assert error.what == "Leaving.pick raised SystemExit: 1"
    assert error.place == f"{HERE}, line {line_of('leaving')}"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("because", "returned 'because', which is no Why: return `Why"),
        (None, "returned None, which is no Why"),
        (lambda: Why(3), "raised ValueError: rule is 3: use a sentence"),
        (lambda: Why("load", {"a": "low"}), "raised ValueError: the score of a is 'low': use a number"),
    ],
)
def test_an_explanation_that_is_none_is_refused(why: object, said: str) -> None:
    class Vague(Balancer):
        def pick(self, backends, key, now):
            return backends[0]

        def explain(self, backends, key, now):
            return why() if callable(why) else why

    with pytest.raises(AlgorithmError) as caught:
        pool_of(Vague()).explain("k", 0.0)
    assert caught.value.what.startswith(f"Vague.explain {said}")


def test_an_init_that_raises_is_named_and_wrong_options_stay_value_errors() -> None:
    class Dividing(Balancer):
        def __init__(self, by: int = 0) -> None:
            if by < 0:
                raise ValueError("by must not be below 0")
            self.share = 1 / by  # dividing

    with pytest.raises(AlgorithmError, match=r"Dividing.__init__ raised ZeroDivisionError") as caught:
        make_balancer("dividing")
    assert caught.value.place.endswith(f"line {line_of('dividing')}")
    with pytest.raises(ValueError, match="by must not be below 0"):
        make_balancer("dividing", by=-1)
    with pytest.raises(ValueError, match="does not take these options"):
        make_balancer("dividing", too="much")


def test_an_algorithm_that_was_interrupted_is_not_called_again_until_another_is_used() -> None:
    class Endless(Balancer):
        calls = 0

        def pick(self, backends, key, now):
            Endless.calls += 1
            raise Overtime  # as the watchdog does

    pool = pool_of(Endless())
    errors = []
    for _ in range(3):
        with pytest.raises(
            AlgorithmError, match=r"Endless.pick did not return, and was interrupted"
        ) as caught:
            pool.pick("k", 0.0)
        errors.append(str(caught.value))
    assert Endless.calls == 1
    assert len(set(errors)) == 1
    assert pool.balancer.name == "endless"
    pool.switch(make_balancer("round_robin"))
    assert pool.pick("k", 0.0).name == "a"


def test_a_switch_to_an_algorithm_that_fails_at_once_leaves_the_one_before() -> None:
    class Unbuilt(Balancer):
        def rebuild(self, backends):
            raise KeyError("table")

    before = make_balancer("round_robin")
    pool = pool_of(before)
    with pytest.raises(AlgorithmError, match=r"Unbuilt.rebuild raised KeyError"):
        pool.switch(Unbuilt())
    assert pool.balancer is before
    assert [pool.pick("k", 0.0).name for _ in range(3)] == ["a", "b", "c"]


# -- the error ------------------------------------------------------------------------------------


def test_the_error_has_at_most_five_lines_and_survives_pickling() -> None:
    class Loud(Balancer):
        def pick(self, backends, key, now):
            raise OSError("no")

    error = failure(Loud())
    lines = error._render_traceback_()
    assert lines[0] == "AlgorithmError: Loud.pick raised OSError: no"
    assert lines[2].strip() == 'raise OSError("no")'
    assert len(lines) <= 5
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.endless, copy.place) == (str(error), False, error.place)
    assert error.__cause__ is None
    assert error.__suppress_context__


# -- classes made by mistake ----------------------------------------------------------------------


def test_own_algorithms_can_be_forgotten_and_ours_cannot() -> None:
    class Mistake(Balancer):
        pass

    forget(Mistake)
    assert "mistake" not in algorithms()
    with pytest.raises(ValueError, match="no algorithm 'mistake'"):
        forget("mistake")
    with pytest.raises(ValueError, match="'round_robin' is lbkit's"):
        forget("round_robin")
