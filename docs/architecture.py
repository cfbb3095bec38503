"""Draws the diagrams of architecture.md from the imports.

`python docs/architecture.py` rewrites the file, `--check` exits with 1 if it is not up to date.
"""

from __future__ import annotations

import ast
import re
import sys
from html import escape
from itertools import permutations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this tree, whatever is installed

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).with_name("architecture.md")
BLOCK = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def read_imports() -> grimp.ImportGraph:
    """Return all imports within lbkit, those for types only included."""
    return grimp.build_graph("lbkit", cache_dir=None)


def siblings(imports: grimp.ImportGraph, package: str) -> nx.DiGraph:
    """Return the modules and packages directly in `package`; an edge goes from importer to imported."""
    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(imports.find_children(package)))
    graph.add_edges_from(
        (importer, imported)
        for importer, imported in permutations(graph, 2)
        if imports.direct_import_exists(importer=importer, imported=imported, as_packages=True)
    )
    return graph


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or by others."""
    return sorted(sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1)


def diagram(graph: nx.DiGraph) -> str:
    """Return a mermaid flowchart. Imports that follow from others are left out, a circle is one box."""
    boxes = nx.condensation(graph)
    members = {box: sorted(names) for box, names in boxes.nodes(data="members")}
    drawn = nx.transitive_reduction(boxes)
    ids = {box: names[0].replace(".", "_") for box, names in members.items()}
    lines = [f'  {ids[box]}["{label(members[box])}"]' for box in sorted(members, key=members.__getitem__)]
    lines += sorted(f"  {ids[importer]} --> {ids[imported]}" for importer, imported in drawn.edges)
    return "\n".join(["```mermaid", "flowchart TB", *lines, "```"])


def label(modules: list[str]) -> str:
    """Return the text of a box: a name and its first sentence, or the names of a circle."""
    names = [name.rpartition(".")[2] for name in modules]
    if len(names) > 1:
        return f"{'<br>'.join(f'<b>{name}</b>' for name in names)}<br>(a circle)"
    return f"<b>{names[0]}</b><br>{purpose(modules[0])}"  # mermaid wraps it


def purpose(module: str) -> str:
    """Return the first sentence of a module's docstring, as text for a diagram."""
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    sentence = re.split(r"(?<!\.)\.(?:\s|$)", text, maxsplit=1)[0]
    return escape(" ".join(sentence.split()).replace('"', "'").replace("`", ""), quote=False)


def page(old: str) -> str:
    """Return the page with its diagrams redrawn; the text between them stays."""
    imports = read_imports()
    return BLOCK.sub(lambda block: f"{block[1]}{diagram(siblings(imports, block[2]))}\n{block[3]}", old)


def main() -> int:
    """Rewrite the page, or check it; return the exit status."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/architecture.md is not up to date: make architecture")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
