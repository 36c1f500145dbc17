"""Made-up runs beside the numbers of Table 2: means by hand, gains of the paper that hold or do not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from outcome_builders import MadeUp
from record_builders import run_record

from vsmooth.recipes import Cell, get_recipe
from vsmooth.records.comparison import Comparison
from vsmooth.report.render.markdown import to_markdown
from vsmooth.reproduce import Row, reproduced_rows, reproduced_table

RECIPE = get_recipe("cifar10-resnet18")  # one-hot 94.56, LS 0.5 94.99, VS 0.5 95.30
ONE_HOT, WORSE, BETTER = (0.94, 0.942, 0.941), (0.90, 0.903, 0.901), (0.97, 0.972, 0.974)


def comparison(**groups: tuple[float, ...]) -> Comparison:
    """Test accuracy for each seed of one-hot, LS 0.5 and VS 0.5 (V = K = 10)."""
    kinds = {"one_hot": ("one-hot", 0.0, 0), "ls": ("label-smoothing", 0.5, 0), "vs": ("virtual-smoothing", 0.5, 10)}
    return MadeUp(
        tuple(
            run_record(*kinds[label], seed, "cifar10", "small", 3, 1, 10, {"accuracy": accuracy}, 1.0, 1.0, (),
                       f"{label}-{seed}")
            for label, scores in groups.items()
            for seed, accuracy in enumerate(scores)
        ),
        "", {}, ("a",) * 10,
    )  # fmt: skip


def outcomes(rows: tuple[Row, ...]) -> list[str | None]:
    return [None if row.claim is None else row.claim.outcome for row in rows]


def test_numbers_of_the_paper_and_ours() -> None:
    rows = reproduced_rows(RECIPE, comparison(one_hot=ONE_HOT, ls=WORSE, vs=BETTER))
    assert [(row.name, row.metric.key, row.paper) for row in rows] == [
        ("one-hot", "accuracy", 94.56), ("LS 0.5", "accuracy", 94.99), ("VS 0.5", "accuracy", 95.30)
    ]  # fmt: skip
    assert [row.gain for row in rows] == [None, 0.43, 0.74]
    assert rows[2].ours is not None
    assert rows[2].ours.mean == pytest.approx(0.972)
    assert rows[2].ours.std == pytest.approx(0.002)
    assert [row.difference for row in rows] == pytest.approx([94.1 - 94.56, 270.4 / 3 - 94.99, 97.2 - 95.3])
    assert outcomes(rows) == [None, "does not hold", "holds"]


def test_what_was_not_trained_is_not_tested() -> None:
    rows = reproduced_rows(RECIPE, comparison(one_hot=ONE_HOT, vs=BETTER))
    assert (rows[1].ours, rows[1].difference) == (None, None)
    assert outcomes(rows) == [None, "not tested", "holds"]
    assert rows[1].claim is not None
    assert rows[1].claim.evidence == "no run of LS 0.5 or of its baseline"
    assert outcomes(reproduced_rows(RECIPE, comparison(vs=BETTER))) == [None, "not tested", "not tested"]


def test_equal_networks_show_no_gain_and_the_correction_counts_every_claim_of_the_table() -> None:
    same = reproduced_rows(RECIPE, comparison(one_hot=ONE_HOT, ls=ONE_HOT, vs=BETTER))
    assert outcomes(same) == [None, "not distinguishable", "holds"]
    claim = same[2].claim
    alone = reproduced_rows(replace(RECIPE, cells=RECIPE.cells[::2]), comparison(one_hot=ONE_HOT, vs=BETTER))[1].claim
    assert claim is not None
    assert alone == claim
    assert claim.text == "VS 0.5: Accuracy % above its baseline, as in Table 2"


def test_a_loss_in_the_paper_is_reproduced_by_a_loss() -> None:
    worse = replace(RECIPE.cells[1], paper={"accuracy": 90.0})
    recipe = replace(RECIPE, cells=(RECIPE.cells[0], worse))
    rows = reproduced_rows(recipe, comparison(one_hot=ONE_HOT, ls=WORSE))
    assert (rows[1].gain, outcomes(rows)) == (-4.56, [None, "holds"])
    equal = replace(recipe, cells=(RECIPE.cells[0], replace(worse, paper={"accuracy": 94.56})))
    rows = reproduced_rows(equal, comparison(one_hot=ONE_HOT, ls=WORSE))
    assert (rows[1].gain, outcomes(rows)) == (0.0, [None, None])


def test_as_a_table() -> None:
    text = to_markdown(reproduced_table(RECIPE, comparison(one_hot=ONE_HOT, vs=BETTER)))
    rows = text.splitlines()
    assert rows[2] == "| one-hot | Accuracy % | 94.56 | 94.10 ± 0.10 | -0.46 | – | – |"
    assert rows[3].startswith("| LS 0.5 | Accuracy % | 94.99 | – | – | +0.43 | not tested<br>no run of LS 0.5")
    assert rows[4].startswith("| VS 0.5 | Accuracy % | 95.30 | 97.20 ± 0.20 | +1.90 | +0.74 | holds<br>+3.10 points (")
    assert "Table 2 of the paper: resnet18, 200 epochs on cifar10; it does not say of how many trainings." in text
    assert "Ours: small, 3 epochs on cifar10; mean ± standard deviation over the seeds." in text


def test_one_seed_has_no_deviation() -> None:
    rows = reproduced_rows(RECIPE, comparison(one_hot=ONE_HOT[:1], vs=BETTER[:1]))
    assert rows[2].ours is not None
    assert rows[2].ours.std is None
    assert rows[2].claim is not None
    assert rows[2].claim.verdict == "holds for this one seed"
    assert "| 97.00 |" in to_markdown(reproduced_table(RECIPE, comparison(one_hot=ONE_HOT[:1], vs=BETTER[:1])))


def test_metric_that_no_table_prints() -> None:
    recipe = replace(RECIPE, cells=(Cell(RECIPE.spec, {"kappa": 0.9}),))
    with pytest.raises(ValueError, match="no table prints the metric 'kappa'; it is one of accuracy, ece, nll, brier"):
        reproduced_rows(recipe, comparison(one_hot=ONE_HOT))


def test_a_metric_that_the_records_lack_is_not_trained() -> None:
    recipe = replace(RECIPE, cells=(Cell(RECIPE.cells[0].spec, {"brier": 0.1}),))
    (row,) = reproduced_rows(recipe, comparison(one_hot=ONE_HOT))
    assert row.ours is None
    assert math.isclose(row.paper, 0.1)
