"""The documentation site: each page's code runs, and the whole is built without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need_feature, need_module
from pages import ROOT, commands, run_command, run_script, write_a_site

PAGES = {str(path.relative_to(ROOT / "docs/pages")): path for path in (ROOT / "docs/pages").rglob("*.md")}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(name: str, tmp_path: Path) -> None:
    need_feature("import")
    text = PAGES[name].read_text(encoding="utf-8")
    write_a_site(tmp_path)
    for line in commands(text):
        run_command(line, tmp_path)
    run_script(text, tmp_path)


def test_the_site_is_built_without_a_warning_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    need_module("sphinx")
    done = subprocess.run(
        [sys.executable, "docs/make_site.py", "--to", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|#|$|//", link):
                assert (page.parent / re.split("[?#]", link)[0]).exists(), (page.name, link)
