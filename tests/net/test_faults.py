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


def test_a_note_has_nothing_of_an_error_that_is_being_handled(capfd: pytest.CaptureFixture[str]) -> None:
    faults = Faults()
    try:
        raise OSError("of somebody else")
    except OSError:
        faults.note("backend b1: its certificate has expired")
    assert capfd.readouterr().err == "lbkit proxy: backend b1: its certificate has expired\n"
    assert faults.lines() == ["backend b1: its certificate has expired"]
