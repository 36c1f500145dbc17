from __future__ import annotations

from vsmooth.metrics import BootstrapInterval
from vsmooth.report.inspection.similarity_table import SimilarityRow, similarity_findings, similarity_table
from vsmooth.report.render.html import to_html
from vsmooth.report.render.markdown import to_markdown


def interval(value: float, width: float = 0.02) -> BootstrapInterval:
    return BootstrapInterval(value, value - width, value + width)


def rows(human: bool = True) -> list[SimilarityRow]:
    before = {"spread": 0.26, "spread_within": 0.17, "spread_across": 0.21, "distance_variation": 0.19}
    after = {"spread": 0.18, "spread_within": 0.171, "spread_across": 0.07, "distance_variation": 0.17}
    if human:
        before |= {"human_kl": 0.35, "human_image_rank": 0.37, "human_pair_rank": 0.90}
        after |= {"human_kl": 0.33, "human_image_rank": 0.22, "human_pair_rank": 0.82}
    differences = {key: interval(after[key] - before[key], 0.005) for key in after}
    return [
        SimilarityRow("one-hot", before, {}),
        SimilarityRow("LS 0.1", after, differences),
    ]


def test_cells_are_values_and_differences_with_intervals() -> None:
    table = similarity_table(rows())
    titles = [column.title.replace("\n", " ") for column in table.columns]
    across = titles.index("Spread across classes")
    assert [row[0].text for row in table.rows] == ["one-hot", "LS 0.1"]
    assert (table.rows[0][across].text, table.rows[0][across].detail) == ("0.210", "")
    assert (table.rows[1][across].text, table.rows[1][across].detail) == ("0.070", "-0.140 [-0.145, -0.135]")
    assert "Rank with people, templates" not in titles  # no row has it
    assert any("votes of people" in note for note in table.notes)
    assert "LS 0.1" in to_markdown(table)
    assert "−0.140" in to_html(table)


def test_without_human_labels_their_columns_and_notes_are_left_out() -> None:
    table = similarity_table(rows(human=False))
    assert len(table.columns) == 5
    assert not any("people" in text for text in (*table.notes, *(column.title for column in table.columns)))


def test_a_row_without_a_value_shows_a_dash() -> None:
    mixed = [rows()[0], rows(human=False)[1]]
    assert [cell.text for cell in similarity_table(mixed).rows[1]].count("–") == 3


def test_findings_say_what_is_erased_lost_and_kept() -> None:
    (sentence,) = similarity_findings(rows())
    erased, rest = sentence.split("; it loses some of ")
    lost, kept = rest.split("; it keeps ")
    assert erased.startswith("Compared with one-hot, LS 0.1 erases much of the differences between wrong classes (0.07")
    assert "people on single images (0.220, one-hot 0.370)" in erased
    assert "people on pairs of classes" in lost
    assert "unequal distances" in lost
    assert kept == "what single images add to their class (0.171, one-hot 0.170)."


def test_a_small_change_is_called_a_little_however_sure_it_is() -> None:
    baseline = rows()[0]
    for change, verb in ((-0.005, "loses a little of"), (0.005, "has a little more of"), (-0.02, "loses some of")):
        values = {**baseline.values, "human_image_rank": 0.37 + change}
        row = SimilarityRow("VS 0.3", values, {"human_image_rank": interval(change, 0.001)})
        (sentence,) = similarity_findings([baseline, row])
        numbers = f"({0.37 + change:.3f}, one-hot 0.370)"
        assert f"VS 0.3 {verb} the agreement with people on single images {numbers}" in sentence


def test_gains_are_named_too() -> None:
    baseline, other = rows()
    gaining = SimilarityRow("VS 0.3", other.values, {"spread_within": interval(0.05)})
    (sentence,) = similarity_findings([baseline, gaining])
    assert sentence.startswith("Compared with one-hot, VS 0.3 has more of what single images add")


def test_without_one_hot_nothing_is_claimed() -> None:
    (sentence,) = similarity_findings(rows()[1:])
    assert "no one-hot network to compare with" in sentence


def test_what_cannot_be_told_is_not_called_kept() -> None:
    # .40 to .10, interval -.61 to +.01: nothing is known, least of all that it is kept.
    before = SimilarityRow("one-hot", {"human_pair_rank": 0.40}, {})
    wide = BootstrapInterval(-0.30, -0.61, 0.01)
    (sentence,) = similarity_findings([before, SimilarityRow("LS 0.1", {"human_pair_rank": 0.10}, {
        "human_pair_rank": wide,
    })])
    assert "keeps" not in sentence
    assert "LS 0.1 is not distinguishable from one-hot in the agreement with people on pairs" in sentence
    assert any("within 5 % of one-hot's value" in note for note in similarity_table(rows()).notes)
