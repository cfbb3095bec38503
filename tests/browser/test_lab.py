"""`lbkit lab` as a learner meets it: the address that it prints, opened in a browser."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from browser.jupyter import IDLE, Lab

pytestmark = pytest.mark.browser


def ask(lab: Lab, path: str) -> Any:
    request = urllib.request.Request(f"{lab.base}{path}", headers={"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_printed_address_opens_the_first_notebook_with_one_kernel(
    lab: Lab, new_page: Callable[[], Any]
) -> None:
    said = lab.log.read_text()
    (address,) = re.findall(r"JupyterLab is at (\S+)", said)
    assert said.count("http://") == 1
    page = new_page()
    page.goto(address)
    page.wait_for_selector(IDLE)
    page.wait_for_timeout(2000)  # a second kernel would be asked for within this time
    first = [s for s in ask(lab, "api/sessions") if s["path"] == "workbook/index.ipynb"]
    assert [session["kernel"]["execution_state"] for session in first] == ["idle"]
    assert page.locator(IDLE).count() == 1
    assert page.locator(".jp-Dialog").count() == 0
    assert page.get_by_text("Would you like to").count() == 0  # get notified about news
    page.close()


def test_only_copies_are_listed(lab: Lab) -> None:
    names = [entry["name"] for entry in ask(lab, "api/contents/")["content"]]
    assert "workbook" in names
    assert "notebooks" not in names
