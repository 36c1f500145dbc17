from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vsmooth.records.comparison import Comparison, load_comparison
from vsmooth.report import render_page, write_page


class Balance(HTMLParser):
    """Checks that every element is closed in order."""

    VOID = frozenset({"meta", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_complete_and_self_contained(comparison: Comparison, tmp_path: Path) -> None:
    path = write_page(comparison, tmp_path / "report.html")
    text = path.read_text()
    checker = Balance()
    checker.feed(text)
    assert checker.open == []
    # 4 reliability diagrams, 4 confidence histograms, 1 scatter, 3 training curves
    assert text.count("<svg role") == 12
    assert len(text) < 1_500_000
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "@import" not in text
    assert "<script" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for words in ("What the runs show", "Training curves", "How the parameter was chosen", "Reproduce", "abc1234",
                  "vsmooth compare --labels", "prefers-color-scheme", "<dt>seeds</dt><dd>0, 1, 2</dd>"):
        assert words in text
    assert not list(tmp_path.glob("*.part"))


def test_page_can_be_rebuilt_from_the_disk(comparison: Comparison) -> None:
    assert render_page(load_comparison(comparison.directory)) == render_page(comparison)


def test_everything_is_escaped(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    evil = "<script>alert('x')</script>"
    runs = tuple(replace(run, data=evil, model=evil) for run in made.runs)
    text = render_page(replace(made, runs=runs, command=evil, environment={evil: evil}))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_one_label_without_history_or_one_hot(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1, cases=(("virtual-smoothing", 0.1, 3.6, 1.0),))
    text = render_page(replace(made, runs=tuple(replace(run, history=()) for run in made.runs)))
    assert "Training curves" not in text
    assert "No one-hot network was trained" in text


def test_missing_predictions_are_named(comparison: Comparison, tmp_path: Path) -> None:
    (comparison.directory / comparison.runs[0].folder / "predictions-test.npz").unlink()
    with pytest.raises(ValueError, match="no predictions file at"):
        write_page(comparison, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()
