"""The documentation site: each page's code runs, and the whole is built without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from needs import need_feature, need_module
from pages import ROOT, commands, run_command, run_script, well_formed, write_a_site, write_files

PAGES = {str(path.relative_to(ROOT / "docs/pages")): path for path in (ROOT / "docs/pages").rglob("*.md")}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(name: str, tmp_path: Path) -> None:
    need_feature("import")
    text = PAGES[name].read_text(encoding="utf-8")
    write_a_site(tmp_path)
    write_files(text, tmp_path)
    for line in commands(text):
        run_command(line, tmp_path)
    run_script(text, tmp_path)


@pytest.mark.parametrize("name", PAGES)
def test_a_link_of_a_page_leads_to_a_file_of_the_repository(name: str) -> None:
    """As it does for somebody who reads it there, and not on the site."""
    links = re.findall(r"\]\((?!\w+:)([^)#\s]+)", PAGES[name].read_text(encoding="utf-8"))
    assert [link for link in links if not (PAGES[name].parent / link).exists()] == []


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
    pages = {page: page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}
    assert len(pages) > 60
    places = {page: set(re.findall(r'\s(?:id|name)="([^"]*)"', text)) for page, text in pages.items()}
    broken = []
    for page, text in pages.items():
        for link in map(unescape, re.findall(r'(?:href|src)="([^"]*)"', text)):
            path, _, place = link.partition("#")
            target = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            if re.match(r"[a-z]+:|//", link) or link == "#":
                continue
            if tmp_path / "_modules" in page.parents:
                place = (
                    ""  # sources lead back to the right page, but to the name that another package exports
                )
            if not target.exists() or (place and unquote(place) not in places.get(target, {place})):
                broken.append((page.name, link))
    assert broken == []
    listed = (tmp_path / "external-links.txt").read_text(encoding="utf-8").splitlines()
    assert len(listed) > 20
    assert [line for line in listed if not well_formed(line.partition(" in ")[0])] == []
