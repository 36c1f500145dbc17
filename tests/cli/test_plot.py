"""The curve in characters, against hand-drawn ones."""

from __future__ import annotations

import pytest

from vsmooth.cli.plot import draw_curve


def test_heights_are_in_eighths_of_a_row() -> None:
    assert draw_curve([0, 0.5, 0.75, 1], "a", "b", width=4, height=2) == [
        "1 │  ▄█",
        "0 │ ███",
        "  └────",
        "   a  b",
    ]


def test_powers_of_ten_are_equal_steps_on_a_logarithmic_scale() -> None:
    lines = draw_curve([0.1, 0.01, 0.001], "epoch 1", "200", width=12, height=3, logarithmic=True)
    assert lines == [
        "  0.1 │████",
        "      │████▅▅▅▅",
        "0.001 │████████▁▁▁▁",
        "      └────────────",
        "       epoch 1  200",
    ]


def test_a_linear_scale_keeps_the_smallest_value_visible() -> None:
    lines = draw_curve([1.0, 1e-9], "a", "b", width=2, height=2)
    assert lines[1] == "0 │█▁"


def test_labels_are_round() -> None:
    assert draw_curve([0.0999978, 0.0], "a", "b")[0].startswith("0.1 │")


def test_a_level_curve_is_full() -> None:
    for logarithmic in (False, True):
        rows = draw_curve([0.3, 0.3], "a", "b", width=5, height=2, logarithmic=logarithmic)[:2]
        assert [row.split("│")[1] for row in rows] == ["█████", "█████"]


@pytest.mark.parametrize("count", [1, 7, 60, 240])
def test_any_number_of_values_fills_the_width_and_ends_at_the_last(count: int) -> None:
    values = [1.0] * (count - 1) + [0.0] if count > 1 else [1.0]
    (bottom,) = (line for line in draw_curve(values, "a", "b", width=60, height=3) if line.startswith("0 "))
    assert len(bottom.split("│")[1]) == (60 if count == 1 else 60 - max(1, 60 // count))
