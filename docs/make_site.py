"""Make the documentation site: `python docs/make_site.py [--run] [--to dist/site]`; `make site` does it.

The pages are gathered from where they live (README's neighbours, notebooks, labs), and the reference is made
from the docstrings of what each package exports, so nothing is written twice. --run executes the notebooks,
which takes a quarter of an hour the first time; without it, they are shown without their results.

external-links.txt in the site lists the addresses of other sites, which no test follows without a network.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from html import unescape
from pathlib import Path
from types import GenericAlias

# Of compiled modules Sphinx would see neither sources nor signatures.
os.environ["LBKIT_PURE"] = "1"

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "pages"
GATHERED = ROOT / "build" / "site"

# What is on the site besides docs/pages, and where; links to these are those of the repository: see `moved`.
PLACES = {
    "notebooks": "notebooks",
    "labs": "notebooks/labs",  # as in a learner's workbook
    "docs/theatre.gif": "pictures/theatre.gif",
    "docs/playground.png": "pictures/playground.png",
    "docs/architecture.md": "docs/architecture.md",
    "docs/claims.md": "docs/claims.md",
    "docs/decisions.md": "docs/decisions.md",
    "docs/drills.md": "docs/drills.md",
    "docs/performance.md": "docs/performance.md",
    "docs/releasing.md": "docs/releasing.md",
    "docs/timings.toml": "docs/timings.toml",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
LINK = re.compile(r"(\]\()(?!\w+:)([^)#\s]+)")  # a link in Markdown to a file, up to a `#`
LEFT_OUT = shutil.ignore_patterns("*.py", "*.pyc", "__pycache__", "tests", "source", ".ipynb_checkpoints")

# The packages of the reference; a name is described at the first that exports it.
PACKAGES = {
    "lbkit": "Experiments, policies, runs",
    "lbkit.presets": "Systems with their default settings",
    "lbkit.core": "Decisions, without I/O",
    "lbkit.core.balance": "Balancing algorithms",
    "lbkit.core.limit": "Rate and concurrency limits",
    "lbkit.core.health": "Health checks, outliers, breakers",
    "lbkit.core.routing": "Content switching",
    "lbkit.core.cache": "HTTP caching",
    "lbkit.core.geo": "Geography",
    "lbkit.live": "Runs on real processes",
    "lbkit.viz": "Widgets",
    "lbkit.viz.figures": "Figures",
    "lbkit.metrics": "Metrics",
    "lbkit.alerts": "Alerts",
    "lbkit.diagnosis": "Diagnosis",
    "lbkit.laws": "Laws of performance",
    "lbkit.capacity": "Capacity planning",
    "lbkit.topology": "Six layers, and what breaks in them",
    "lbkit.aws": "AWS's load balancers",
    "lbkit.importer": "Imports of configurations and logs",
    "lbkit.course": "Labs, the workbench, predictions",
    "lbkit.course.bank": "Questions for exams",
    "lbkit.course.slides": "Slides",
}

CONTENTS_OF_LAB = """
```{toctree}
:titlesonly:
:glob:
:hidden:

[!R]*
```
"""

DESCRIBED = """\
```{{eval-rst}}
.. {directive}:: {module}.{name}
{body}
```
"""
MEMBERS = "   :members:\n   :show-inheritance:"


def gather() -> None:
    """Fill the folder that Sphinx reads."""
    shutil.rmtree(GATHERED, ignore_errors=True)
    shutil.copytree(PAGES, GATHERED, ignore=shutil.ignore_patterns("__pycache__"))
    for path in GATHERED.rglob("*.md"):
        path.write_text(moved(path.read_text(encoding="utf-8"), path.relative_to(GATHERED)), encoding="utf-8")
    for source, place in PLACES.items():
        there = ROOT / source
        target = GATHERED / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            shutil.copytree(there, target, ignore=LEFT_OUT)
        else:
            shutil.copy(there, target)
    for path in (GATHERED / "notebooks").glob("[0-9]*.ipynb"):
        number(path)
    for lab in (GATHERED / "notebooks" / "labs").glob("*/README.md"):
        with lab.open("a", encoding="utf-8") as page_of_lab:
            page_of_lab.write(CONTENTS_OF_LAB)
    slides()
    reference = GATHERED / "reference"
    reference.mkdir()
    seen: set[int] = set()
    for package, title in PACKAGES.items():
        (reference / f"{package}.md").write_text(page(package, title, seen), encoding="utf-8")


def moved(text: str, page: Path) -> str:
    """Return the text of a page, which is in docs/pages, with links as they are on the site."""

    def there(link: re.Match[str]) -> str:
        target = (PAGES / page.parent / link[2]).resolve()
        for source, place in PLACES.items():
            if target.is_relative_to(ROOT / source):
                on_site = GATHERED / place / target.relative_to(ROOT / source)
                return link[1] + os.path.relpath(on_site, GATHERED / page.parent)
        return link[0]

    return LINK.sub(there, text)


def number(path: Path) -> None:
    """Put the number of a notebook before its title, for lists of pages."""
    book = json.loads(path.read_text(encoding="utf-8"))
    title = book["cells"][0]["source"]
    title[0] = title[0].replace("# ", f"# {path.stem.partition('-')[0]}. ", 1)
    path.write_text(json.dumps(book), encoding="utf-8")


def external_links(site: Path) -> dict[str, str]:
    """Return the addresses that the site's own pages lead to, each with the first page that does."""
    found: dict[str, str] = {}
    for path in sorted(site.rglob("*.html")):
        for address in re.findall(r'<a [^>]*href="(https?://[^"]*)"', path.read_text(encoding="utf-8")):
            found.setdefault(unescape(address), str(path.relative_to(site)))
    return found


def slides() -> None:
    """Make the decks; Sphinx copies what is in the folder `extra` as it is."""
    from lbkit.course.slides import all_decks, find_deck, write

    folder = GATHERED / "extra" / "slides"
    folder.mkdir(parents=True)
    for name in all_decks():
        write(find_deck(name), folder / f"{name}.html")


def page(package: str, title: str, seen: set[int]) -> str:
    """Return the page of a package; `seen` has what other pages describe."""
    module = importlib.import_module(package)
    lines = [f"# {title}\n", f"```{{eval-rst}}\n.. automodule:: {package}\n   :no-members:\n```\n"]
    for name in exported(module):
        thing = getattr(module, name)
        if id(thing) in seen or isinstance(thing, type(sys)):
            continue
        seen.add(id(thing))
        directive, body = described(thing)
        lines.append(DESCRIBED.format(directive=directive, module=package, name=name, body=body))
    return "\n".join(lines)


def described(thing: object) -> tuple[str, str]:
    """Return the directive for a thing that a package exports, and what follows it."""
    if not isinstance(thing, GenericAlias):
        if isinstance(thing, type):
            return "autoclass", MEMBERS
        if callable(thing):
            return "autofunction", ""
    # A table has its type's docstring only, and an alias none: say what is in it.
    names = ", ".join(f"`{name}`" for name in thing) if isinstance(thing, Collection) else f"`{thing!r}`"
    return "py:data", f"\n   {names}"


def exported(module: object) -> list[str]:
    """Return the public names of a module: its `__all__`, or what is defined in it."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and getattr(thing, "__module__", None) == getattr(module, "__name__", "")
        ]
    return sorted(names, key=lambda name: (name[0].islower(), name.lower()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the documentation site.")
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / "site", help="the folder of the site")
    parser.add_argument(
        "--run", action="store_true", help="execute the notebooks, so that pages have results"
    )
    options = parser.parse_args()
    gather()
    # -W: a link that leads nowhere, or a docstring that is no reStructuredText, is an error.
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    if options.run:
        command += ["-D", "nb_execution_mode=cache"]
    subprocess.run([*command, str(GATHERED), str(options.to)], check=True)
    links = external_links(options.to)
    lines = "".join(f"{address} in {path}\n" for address, path in sorted(links.items()))
    (options.to / "external-links.txt").write_text(lines, encoding="utf-8")
    print(f"lbkit: the site is {options.to}/index.html")


if __name__ == "__main__":
    main()
