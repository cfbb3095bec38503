"""What a learner is told when the kit's promises do not hold."""

from __future__ import annotations

import pytest

from lbkit import Balancer
from lbkit.course import Wrong, in_any_history


class _First(Balancer):
    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        return backends[0]


class _Only(Balancer):
    """Fails where there is one server only."""

    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        return backends[1]


class _Remembers(Balancer):
    """Returns the first server it ever saw."""

    seen = None

    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        self.seen = self.seen or backends[0]
        return self.seen


def test_a_balancer_that_keeps_its_promises_passes() -> None:
    in_any_history(_First)


@pytest.mark.parametrize("balancer", [_Only, _Remembers])
def test_a_fault_is_told_with_the_request_and_the_servers_there_were(balancer: type[Balancer]) -> None:
    with pytest.raises(Wrong) as wrong:
        in_any_history(balancer)
    assert wrong.value.expected.startswith("one of b")
    assert "for a request of" in wrong.value.expected
    assert wrong.value.happened
    assert "the same fault" in wrong.value.hint
