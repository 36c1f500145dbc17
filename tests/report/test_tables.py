from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from outcome_builders import MadeUp
from record_builders import run_record, variant
from rich.console import Console

from vsmooth.records.comparison import Comparison
from vsmooth.records.objective import ONE_HOT
from vsmooth.report.comparison.metrics import ACCURACY, ECE, confidence_words
from vsmooth.report.comparison.sections import results
from vsmooth.report.comparison.tables import best_group, result_table, seed_table, selection_table
from vsmooth.report.render.html import to_html, typeset
from vsmooth.report.render.markdown import to_markdown
from vsmooth.report.render.table import Cell, Column, Table, shortened
from vsmooth.report.render.terminal import print_sections, to_rich


def simple(values: dict[tuple[str, float], list[float]], metric: str = "accuracy") -> Comparison:
    runs = tuple(
        run_record(label, alpha, 0, seed, "d", "m", 1, 1, 2, {metric: value}, 1.0, 1.0, (), f"{label}-{alpha:g}-{seed}")
        for (label, alpha), seeds in values.items()
        for seed, value in enumerate(seeds)
    )
    return MadeUp(runs, "c", {}, ("a", "b"), Path("."))


def test_result_table_values(comparison: Comparison) -> None:
    table = result_table(comparison)
    group = comparison.groups[1]
    accuracy, difference = group.summary("accuracy"), comparison.differences.from_baseline(group, "accuracy")
    assert accuracy is not None
    assert accuracy.std is not None
    assert difference is not None
    cell = table.rows[1][2]
    assert cell.text == f"{accuracy.mean * 100:.2f} ± {accuracy.std * 100:.2f}"
    assert cell.detail.startswith(f"{difference.mean * 100:+.2f} [")
    assert [row[0].text for row in table.rows] == ["one-hot", "LS 0.4", "VS 0.1", "VS 0.5"]
    assert table.rows[0][2].detail == ""
    assert len(table.columns) == len(table.rows[0])


def test_best_is_marked_only_if_distinguishable_from_every_row() -> None:
    clear = simple({("one-hot", 0): [0.80, 0.81, 0.82], ("virtual-smoothing", 0.3): [0.90, 0.912, 0.921]})
    best = best_group(clear, ACCURACY)
    assert best is not None
    assert best.name == "VS 0.3"
    close = simple({("one-hot", 0): [0.80, 0.81, 0.82], ("virtual-smoothing", 0.3): [0.81, 0.80, 0.83]})
    assert best_group(close, ACCURACY) is None
    assert any("No value is marked" in note for note in result_table(close).notes)


def test_less_is_better_for_ece() -> None:
    eces = {("one-hot", 0.0): [0.05, 0.06], ("virtual-smoothing", 0.3): [0.01, 0.0201]}
    found = best_group(simple(eces, "ece"), ECE)
    assert found is not None
    assert found.name == "VS 0.3"


def test_one_seed_is_labelled_as_such(make_comparison: Callable[..., Comparison]) -> None:
    table = result_table(make_comparison(seeds=1))
    assert table.rows[1][2].detail.endswith("†")
    assert "±" not in table.rows[1][2].text
    assert not any(cell.best for row in table.rows for cell in row)
    assert any("bootstrap over the test images" in note for note in table.notes)
    assert any("but are about these networks alone" in note for note in table.notes)


def test_with_several_seeds_verdicts_are_about_labels(comparison: Comparison) -> None:
    assert any("at most 5 % hold a false one" in note for note in result_table(comparison).notes)


def test_missing_metrics_show_a_dash() -> None:
    row = result_table(simple({("one-hot", 0): [0.8]})).rows[0]
    assert row[3] == Cell("–")
    assert row[6] == Cell("–")


@pytest.mark.parametrize(
    ("gap", "words"), [(0.02, "over-confident"), (-0.02, "under-confident"), (0.004, "about right")]
)
def test_confidence_words(gap: float, words: str) -> None:
    assert confidence_words(gap) == words


def test_seed_and_selection_tables(comparison: Comparison) -> None:
    assert len(seed_table(comparison).rows) == 12
    assert selection_table(comparison.groups[0]) is None
    chosen = selection_table(comparison.groups[3])
    assert chosen is not None
    assert [row[0].best for row in chosen.rows] == [False, True]
    assert chosen.rows[1][2].text == "0.450"
    assert chosen.rows[1][1].text == "84.00"


def test_markdown_and_html_escape() -> None:
    table = Table((Column("a\nb"),), ((Cell("<b>|", "-0.1", True),),), ("x < y",))
    assert to_markdown(table) == "| a b |\n| --- |\n| **★ &lt;b>\\|**<br>-0.1 |\n\nx < y"
    html = to_html(table)
    assert "<strong>★ &lt;b&gt;|</strong><small>−0.1</small>" in html
    assert "x &lt; y" in html


def test_typeset() -> None:
    assert typeset("-0.2 one-hot VS 0.3, 2026-11-22") == "−0.2 one-hot VS\u00a00.3, 2026-11-22"


@pytest.mark.parametrize(("width", "wide"), [(80, False), (200, True)])
def test_terminal_table_fits(comparison: Comparison, width: int, wide: bool) -> None:
    stream = io.StringIO()
    print_sections((results(comparison),), Console(file=stream, width=width))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "VS 0.1" in text
    assert "…" not in text
    assert any("Brier" in line for line in text.splitlines() if "┃" in line) is wide
    hint = "A wider terminal also shows: Brier; Confidence − accuracy, points; Images/s; Training, s."
    assert (hint not in " ".join(text.split())) is wide


LONG = "predictions-of-wrn-28-10-with-label-smoothing-and-a-long-name-epoch-200"


@pytest.mark.parametrize("name", [LONG, f"KD from {LONG}"])
def test_a_long_name_loses_its_middle_and_no_number_is_broken(name: str) -> None:
    numbers = tuple(Cell(f"0.{i}23", f"0.{i}11–0.{i}35") for i in range(4))
    table = Table((Column("Label"), *(Column("x") for _ in numbers)), ((Cell(name), *numbers),))
    stream = io.StringIO()
    Console(file=stream, width=80).print(to_rich(table, 80))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for i in range(4):
        assert f"0.{i}23" in text
        assert f"0.{i}11–0.{i}35" in text.replace("\n", "")
    assert "…" in text
    assert "predi" in text
    assert "200" in text
    whole = io.StringIO()
    Console(file=whole, width=200).print(to_rich(table, 200))
    assert LONG in whole.getvalue()


def test_shortened_names_keep_their_ends() -> None:
    assert shortened(["abcdefghij", "short"], 10) == ["abcdefghij", "short"]
    assert shortened(["abcdefghij", "short"], 7) == ["abc…hij", "short"]
    assert shortened(["abcdefghij"], 6) == ["abc…ij"]


def test_shortened_names_stay_apart() -> None:
    names = [f"network-with-label-{index}-and-a-long-ending" for index in (1, 2)]
    assert shortened([*names, names[0], "one-hot"], 10) == ["…-1-and-a…", "…-2-and-a…", "…-1-and-a…", "one-hot"]


def test_names_of_several_words_are_broken_between_them() -> None:
    numbers = tuple(Cell(f"0.{i}23", f"0.{i}11–0.{i}35") for i in range(4))
    columns = Column("Label"), *(Column("x") for _ in numbers)
    table = Table(columns, ((Cell("KD from VS 0.3 by a teacher"), *numbers),))
    stream = io.StringIO()
    Console(file=stream, width=80).print(to_rich(table, 80))
    assert "…" not in stream.getvalue()
    assert "teacher" in stream.getvalue()
    assert "0.311–0.335" in stream.getvalue()


def test_names_with_markup_are_printed_as_they_are(comparison: Comparison) -> None:
    run = replace(comparison.runs[0], variant=variant(replace(ONE_HOT, name="[red]x")))
    odd = replace(comparison, runs=(run,))
    stream = io.StringIO()
    print_sections((results(odd),), Console(file=stream, width=120))
    assert "[red]x" in stream.getvalue()
