"""The page of objectives says of each what its class says."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsmooth.losses import CATALOGUE, form_of

PAGE = Path(__file__).parents[2] / "docs" / "objectives.md"


def row_of(name: str) -> str:
    entry = CATALOGUE[name]
    template, about = entry.template(), entry.template().about
    usual = ", ".join(f"{value:g}" for value in template.usual) if entry.values else "–"
    forms = " or ".join(f"`{form}`" for form in form_of(name).split(" or "))
    cells = (forms, about.formula.replace("|", r"\|"), about.purpose, about.cost, usual, about.source)
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_table_has_its_row(name: str) -> None:
    assert row_of(name) in PAGE.read_text().splitlines()
