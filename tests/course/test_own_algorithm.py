"""Code that is no algorithm is told in one sentence, with its line."""

from __future__ import annotations

import pytest

from lbkit import Balancer, Policy, algorithms, watchdog
from lbkit.course.own_algorithm import CodeError, algorithm_in, told

pytestmark = pytest.mark.usefixtures("own_algorithms")

FIRST = """class First(Balancer):
    def pick(self, backends, key, now):
        return backends[0]
"""


def test_the_code_is_an_algorithm_by_the_name_of_its_class() -> None:
    own = algorithm_in(FIRST, "your code")
    assert issubclass(own, Balancer)
    assert algorithms()["first"] is own
    assert Policy.of(own).algorithm == "first"


def test_the_last_of_several_classes_counts_and_helpers_do_not() -> None:
    helper = "class _Shared(Balancer):\n    pass\n"
    own = algorithm_in(FIRST + FIRST.replace("First", "Second") + helper, "your code")
    assert own.__name__ == "Second"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class A(Balancer)\n", "your code: line 1 is not Python: expected ':': `class A"),
        ("x = 1\ny = x[0]\n", "your code: it raised TypeError: .*, in line 2: `y = x.0.`"),
        ("import lbkit\n", "your code defines no algorithm: it begins with `class Mine"),
        ("raise SystemExit\n", "your code: the code called sys.exit, in line 1"),
        ("a = np.zeros(3)\n", "NameError: name 'np' is not defined, in line 1.* all that it needs"),
        ("class RoundRobin(Balancer):\n    pass\n", "give RoundRobin another name, in line 1"),
    ],
)
def test_code_that_defines_no_algorithm_is_one_sentence(source: str, said: str) -> None:
    with pytest.raises(CodeError, match=said) as caught:
        algorithm_in(source, "your code")
    assert "\n" not in str(caught.value)


def test_an_endless_loop_outside_of_a_class_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PERIOD", 0.03)
    with pytest.raises(CodeError, match=r"did not return, and was interrupted, in line 2: .*endless loop"):
        algorithm_in("n = 0\nwhile True: n += 1\n", "your code")


def test_a_broken_contract_is_told_with_the_contract() -> None:
    algorithm_in("class Unmade(Balancer):\n    def __init__(self):\n        self.x = y\n", "your code")
    with pytest.raises(Exception, match="NameError") as caught:
        Policy("unmade")
    said = told(caught.value, "your code")
    assert "your code, line 3 (`self.x = y`)" in said
    assert said.endswith("All that it needs, its imports too, has to stand in the code itself.")


def test_what_is_not_written_yet_is_said_so() -> None:
    source = "class Todo(Balancer):\n    def __init__(self):\n        raise NotImplementedError\n"
    algorithm_in(source, "your code")
    with pytest.raises(Exception, match="NotImplementedError") as caught:
        Policy("todo")
    assert told(caught.value, "your code").startswith(
        "your code: it is not written yet, in your code, line 3"
    )
