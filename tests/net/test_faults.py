"""Faults are printed once a kind, and counted."""

from __future__ import annotations

import pytest

from lbkit.net.faults import Faults


def test_the_same_text_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    faults = Faults()
    for _ in range(3):
        faults.report("no backend accepts")
    assert capfd.readouterr().err == "lbkit proxy: no backend accepts\n"
    assert faults.lines() == ["no backend accepts (3 times)"]
