"""What a learner's code did wrong is said in a sentence that fits."""

from __future__ import annotations

import re

import pytest

from lbkit.course.own_code import compiled, fault, namespace


def test_what_does_not_fit_the_task_is_told_apart_from_what_was_returned() -> None:
    made = namespace(compiled("class Own:\n    def total(self): pass\n", "your code"))
    uses = {
        lambda: (
            made["Own"]().level
        ): "used as the task says, it led to AttributeError: .*; keep the base class and",
        lambda: made["Own"](3): "used as the task says, it led to TypeError: .*; keep the base class and",
        lambda: 1 + made["Own"]().total(): "what it returned led to TypeError",
    }
    for use, says in uses.items():
        with pytest.raises((AttributeError, TypeError)) as caught:
            use()
        assert re.match(says, fault(caught.value, "your code"))
