"""Every claim of the notebooks is held by an assertion that notices when the claim is broken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from needs import need_module

need_module("plotly")
need_module("ipywidgets")

from notebooks.book import NOTEBOOKS, Book, cells, where
from notebooks.mutations import MUTATIONS, Mutation

from lbkit import why_not

STEMS = sorted({m.notebook for m in MUTATIONS})


def test_each_claim_of_each_notebook_has_a_mutation() -> None:
    tagged = {(claim, path.stem) for path in NOTEBOOKS for cell in cells(path) for claim in cell.claims}
    assert tagged - {(m.claim, m.notebook) for m in MUTATIONS} == set()


def test_each_claim_cell_that_asserts_is_failed_by_a_mutation() -> None:
    asserting = {
        (path.stem, cell.id)
        for path in NOTEBOOKS
        for cell in cells(path)
        if cell.claims and "assert " in cell.source
    }
    assert asserting - {(m.notebook, m.at) for m in MUTATIONS} == set()


def test_each_mutation_is_of_a_claim_that_its_cell_is_tagged_with() -> None:
    claims = {(path.stem, cell.id): cell.claims for path in NOTEBOOKS for cell in cells(path)}
    assert [str(m) for m in MUTATIONS if m.claim not in claims.get((m.notebook, m.at), ())] == []


@pytest.fixture
def book(request: pytest.FixtureRequest) -> Iterator[Book]:
    stem = request.param
    opened = Book(next(path for path in NOTEBOOKS if path.stem == stem))
    yield opened
    opened.close()


def first_cell(book: Book, mutation: Mutation) -> int:
    named = [mutation.since or mutation.at, *(edit.cell for edit in mutation.edits)]
    return min(book.index(cell) for cell in named)


@pytest.mark.notebook
@pytest.mark.live
@pytest.mark.parametrize("book", STEMS, indirect=True)
def test_a_broken_claim_fails_its_assertion(book: Book) -> None:
    """That true ones do not fail is seen where notebooks run to their ends (test_environment.py)."""
    mutations = [m for m in MUTATIONS if m.notebook == book.path.stem]
    missing = {m.needs: reason for m in mutations if m.needs and (reason := why_not(m.needs))}
    mutations = [m for m in mutations if m.needs not in missing]
    survivors = []
    # In the order of the cells: what comes before a mutation runs once for all.
    for mutation in sorted(mutations, key=lambda m: first_cell(book, m)):
        error = book.run_edited(mutation.at, mutation.edits, mutation.patches, mutation.since)
        if error is None:
            survivors.append(str(mutation))
        else:
            print(f"{mutation}\n  fails at {where(error)}")
    assert survivors == []
    if missing:
        pytest.skip("; ".join(missing.values()))
