"""A comparison of networks that were trained under attack: columns of robustness, best epochs, and what was found."""

from __future__ import annotations

from dataclasses import replace

from outcome_builders import MadeUp
from record_builders import objective_of, run_record

from vsmooth.records.objective import ONE_HOT
from vsmooth.records.run import BestEpoch, EpochRecord, RunRecord
from vsmooth.records.variant import MethodRecord, Variant
from vsmooth.report.comparison.subject import subject_of
from vsmooth.report.comparison.tables import result_table
from vsmooth.report.comparison.training_sections import training_sections
from vsmooth.report.section import Bullets, Figure, Panels

AT = MethodRecord("AT")
COLLAPSE = "catastrophic overfitting in epoch 2: accuracy under PGD fell"


def attacked_run(variant: Variant, last: float, best: float) -> RunRecord:
    """Two epochs, of which the first is the best."""
    history = tuple(
        EpochRecord(epoch, 1.0, 0.1, 1.0, 1.0, {"accuracy": 0.5, "robust_accuracy": robust}, {})
        for epoch, robust in ((1, best), (2, last))
    )
    empty = run_record("one-hot", 0.0, 0, 0, "toy", "small", 2, 1, 2, {}, 1.0, 1.0, history, variant.key)
    metrics = {"accuracy": 0.8, "robust_accuracy": last}
    kept = BestEpoch(1, "robust_accuracy", {"accuracy": 0.7, "robust_accuracy": best})
    return replace(empty, variant=variant, metrics=metrics, best=kept, notices=(COLLAPSE,))


VS = objective_of("virtual-smoothing", 0.3, 2, 2)
COMPARISON = MadeUp(
    (attacked_run(Variant(ONE_HOT, AT), 0.2, 0.4), attacked_run(Variant(VS, AT), 0.25, 0.45)), "", {}, ("a", "b")
)


def test_the_table_has_the_last_and_the_best_epoch() -> None:
    table = result_table(COMPARISON)
    titles = [column.title for column in table.columns]
    first = {title: cell.text for title, cell in zip(titles, table.rows[0], strict=True)}
    assert first["Accuracy under\nPGD %, last"] == "20.00"
    assert first["Accuracy %,\nbest epoch"] == "70.00"
    assert first["Accuracy under\nPGD %, best"] == "40.00"
    shown = [column.title for column in table.columns if column.essential]
    assert "Accuracy under\nPGD %, last" in shown
    assert subject_of(COMPARISON).title == "Does virtual smoothing help adversarial training here?"


def test_what_was_found_and_the_best_epochs_are_shown() -> None:
    sections = {section.title: section for section in training_sections(COMPARISON)}
    (bullets,) = (part for part in sections["Found during training"].parts if isinstance(part, Bullets))
    assert bullets.warnings[0] == f"AT + one-hot, seed 0: {COLLAPSE}"
    (panels,) = (part for part in sections["Training curves"].parts if isinstance(part, Panels))
    (curve,) = (figure for figure in panels.figures if figure.name == "curve-robust_accuracy")
    assert isinstance(curve, Figure)
    axes = curve.draw().axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(int(dot.get_xdata()[0]), float(dot.get_ydata()[0])) for dot in dots] == [(1, 40.0), (1, 45.0)]


def test_other_comparisons_have_no_such_columns() -> None:
    plain = run_record("one-hot", 0.0, 0, 0, "toy", "small", 0, 1, 2, {"accuracy": 0.5}, 1.0, 1.0, (), "x")
    comparison = MadeUp((plain,), "", {}, ("a", "b"))
    assert not any("PGD" in column.title for column in result_table(comparison).columns)
