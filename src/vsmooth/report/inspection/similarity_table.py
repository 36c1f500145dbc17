"""What each label keeps of the similarity between classes: a table, and a sentence for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsmooth.metrics.bootstrap import BootstrapInterval
from vsmooth.metrics.resampling import excludes_zero
from vsmooth.report.render.table import Cell, Column, Table

ERASED = 0.25  # of one-hot's value: a larger fall is called erased, a smaller one lost
# Of one-hot's value: a smaller change says little; an interval within this margin means equivalence. Chosen on
# 2026-11-25, after the results in docs/results were published; it applies to runs from then on.
LITTLE = 0.05


@dataclass(frozen=True)
class SimilarityRow:
    """One label: values by key of `SimilarityMetrics`, and differences from one-hot (none for one-hot itself)."""

    name: str
    values: Mapping[str, float]
    differences: Mapping[str, BootstrapInterval]


@dataclass(frozen=True)
class _Number:
    """How a key is headed, and what its fall means in a sentence ("" where a fall loses nothing)."""

    key: str
    title: str
    kept: str
    essential: bool = False


_NUMBERS = (
    _Number("spread", "Spread of\nwrong logits", ""),
    _Number("spread_across", "Spread\nacross\nclasses", "the differences between wrong classes", True),
    _Number("spread_within", "Spread\nwithin\na class", "what single images add to their class"),
    _Number("human_image_rank", "Rank with people,\nby image", "the agreement with people on single images", True),
    _Number("human_pair_rank", "Rank with people,\nclass pairs", "the agreement with people on pairs of classes"),
    _Number("human_template_rank", "Rank with people,\ntemplates", "the agreement of its templates with people"),
    _Number("human_kl", "KL(people,\nmodel)", "", True),
    _Number("distance_variation", "Unevenness of\ncluster distances", "the unequal distances between clusters", True),
    _Number("cluster_spread", "Width of\nclusters", ""),
)


_KEEPS, _UNCLEAR = "keeps", "is not distinguishable from one-hot in"
_VERBS = (
    "erases much of", "loses some of", "loses a little of", _KEEPS, "has a little more of", "has more of", _UNCLEAR
)


def similarity_table(rows: Sequence[SimilarityRow]) -> Table:
    """A row for each label; below each value its difference from one-hot with the 95 % interval over the images.

    Columns of human labels are left out where no row has them.
    """
    numbers = [number for number in _NUMBERS if any(number.key in row.values for row in rows)]
    columns = Column("Label"), *(Column(number.title, number.essential) for number in numbers)
    cells = tuple((Cell(row.name), *(_cell(row, number.key) for number in numbers)) for row in rows)
    return Table(columns, cells, _notes(rows))


def similarity_findings(rows: Sequence[SimilarityRow]) -> tuple[str, ...]:
    """For each label other than one-hot: what it erases, loses, keeps and adds, and what cannot be told."""
    baseline = next((row for row in rows if not row.differences), None)
    if baseline is None:
        return ("There is no one-hot network to compare with, so nothing can be said about what a label erases.",)
    return tuple(_finding(row, baseline) for row in rows if row.differences)


def _finding(row: SimilarityRow, baseline: SimilarityRow) -> str:
    groups: dict[str, list[str]] = {verb: [] for verb in _VERBS}
    for number in _NUMBERS:
        if number.kept and number.key in row.differences:
            before, after = baseline.values[number.key], row.values[number.key]
            verb = _verb(row.differences[number.key], before)
            groups[verb].append(f"{number.kept} ({after:.3f}, one-hot {before:.3f})")
    parts = [f"{verb} {', '.join(found)}" for verb, found in groups.items() if found]
    return f"Compared with one-hot, {row.name} {'; it '.join(parts)}."


def _verb(difference: BootstrapInterval, before: float) -> str:
    margin = LITTLE * abs(before)
    if not excludes_zero(difference):
        return _KEEPS if -margin < difference.low and difference.high < margin else _UNCLEAR
    little = abs(difference.value) < margin
    if difference.value > 0:
        return "has a little more of" if little else "has more of"
    if little:
        return "loses a little of"
    return "erases much of" if -difference.value > ERASED * abs(before) else "loses some of"


def _cell(row: SimilarityRow, key: str) -> Cell:
    if key not in row.values:
        return Cell("–")
    difference = row.differences.get(key)
    detail = "" if difference is None else f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    return Cell(f"{row.values[key]:.3f}", detail)


def _notes(rows: Sequence[SimilarityRow]) -> tuple[str, ...]:
    notes = [
        "Spreads are standard deviations over the lead of the correct logit: 0 means that all wrong classes look "
        "alike. Unevenness 0 means that all clusters are equally far from each other."
    ]
    if any("human_image_rank" in row.values for row in rows):
        notes.append(
            "Rank: Spearman correlation with the votes of people, over the wrong classes of each image on which "
            "someone erred, and over pairs of classes."
        )
    if any(row.differences for row in rows):
        notes.append(
            "Second line: difference from one-hot with its 95 % interval over the images; other training "
            f"seeds may differ by more. In words, a label keeps what its interval holds within {100 * LITTLE:g} % of "
            "one-hot's value; an interval that reaches further and contains 0 is not distinguishable."
        )
    return tuple(notes)
