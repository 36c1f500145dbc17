"""Records of attacks as tables, sentences, curves and a section of the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from robust_record_builders import CLEAN, attack_by_hand, make_record, make_sanity

from vsmooth.attacks.threat import ThreatModel
from vsmooth.records.comparison import Comparison
from vsmooth.records.robust import RobustRecord
from vsmooth.records.standing import Standing
from vsmooth.report import render_page, to_markdown, to_rich
from vsmooth.report.drawing.style import Style
from vsmooth.report.render.table import Table
from vsmooth.report.robust.attacked import (
    AttackedRun,
    attacked_questions,
    epsilon_curves,
    epsilon_label,
    loss_surfaces,
    step_curves,
    threat_words,
)
from vsmooth.report.robust.tables import (
    flattered,
    robust_table,
    robust_title,
    sanity_table,
    settings_table,
    suspicions,
    unsuspicious,
)


def attacked(name: str, record: RobustRecord) -> AttackedRun:
    return AttackedRun(name, Style("#0072b2", "D", "-"), record, Path("nowhere"))


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def printed(table: Table) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(to_rich(table, 80))
    return capture.get()


TWO = (attacked("one-hot", make_record(0, 90)), attacked("VS 0.3", make_record(10, 120)))


def test_a_row_for_each_attack_with_n_and_interval() -> None:
    table = robust_table(TWO)
    assert texts(table) == [
        ["Clean", "90.0", "90.0"],
        ["PGD-20 real", "40.0", "40.0"],
        ["AA real", "30.0", "30.0"],
        ["PGD-20 all", "–", "64.0"],
        ["AA+ all", "–", "52.0"],
        ["multi-target †", "18.0", "24.0"],
        ["Headline", "18.0", "24.0"],
    ]
    # 90 of 500: Wilson's interval by hand, (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), is 14.88 to 21.61 %
    assert table.rows[-1][1].detail == "n 500 [14.9, 21.6]"
    assert [cell.best for cell in table.rows[-1]] == [True] * 3
    assert not any(cell.best for row in table.rows[:-1] for cell in row)


def test_notes_explain_each_mark_and_only_those() -> None:
    notes = " ".join(robust_table(TWO).notes)
    for words in ("† attacked only what stood everything above it", "★ Headline", "–: not attacked",
                  "All: the K + V logits", "pyautoattack 0.2.0"):
        assert words in notes
    alone = make_record(0)
    plain = replace(alone, columns=alone.columns[:2], autoattack_version="", notes=("APGD-T left out: K < 4.",))
    notes = " ".join(robust_table([attacked("one-hot", plain)]).notes)
    assert not re.search("†|–|K [+] V", notes)
    assert "Without AutoAttack the headline is weaker evidence" in notes
    assert "APGD-T left out: K < 4." in notes


def test_remarks_name_runs_only_where_they_differ() -> None:
    second = replace(TWO[1].record, precision="bf16", transfer_from="one-hot-seed0")
    notes = robust_table([TWO[0], attacked("VS 0.3", second)]).notes
    assert "AutoAttack: the official code, pyautoattack 0.2.0." in notes
    assert any(note.startswith("VS 0.3: Each column's first attack was made in bf16 first") for note in notes)
    assert "VS 0.3: Transfer: from one-hot-seed0." in notes


def test_a_randomised_network_is_named_with_the_rule() -> None:
    often = attacked("VS 0.3", replace(TWO[1].record, judgements=20))
    notes = robust_table([TWO[0], often]).notes
    (note,) = [note for note in notes if "randomised" in note]
    assert note.startswith("VS 0.3: This network is randomised: it was asked 20 times about each image.")


def test_four_runs_are_rows_and_fit_a_terminal() -> None:
    runs = [*TWO, attacked("LS 0.1", make_record(0)), attacked("VS 0.5, seed 12", make_record())]
    table = robust_table(runs)
    assert [row[0].text for row in table.rows] == ["one-hot", "VS 0.3", "LS 0.1", "VS 0.5, seed 12"]
    assert texts(table)[0] == ["one-hot", "90.0", "40.0", "30.0", "–", "–", "18.0", "18.0"]
    assert "everything to its left" in " ".join(table.notes)
    text = printed(table)
    assert max(map(len, text.splitlines())) <= 80
    assert "Headline" in text
    assert "…" not in text
    assert re.search(r"★ +24.0|★ 24.0", text)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_runs_fit_a_terminal(count: int) -> None:
    runs = [attacked(f"VS 0.{place}, seed {place}", make_record()) for place in range(count)]
    text = printed(robust_table(runs))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("★") == count + 1
    assert text.count("[20.5,") == 2 * count  # 120 of 500: the last column and the headline


def test_the_title_names_threat_and_images() -> None:
    assert robust_title(TWO) == "Under attack: L-inf, epsilon 8/255, 500 of 10,000 test images"
    whole = replace(make_record(), threat=ThreatModel("l2", 0.5), split_images=500)
    assert robust_title([attacked("VS", whole)]) == "Under attack: L2, epsilon 0.5, all 500 test images"
    assert threat_words(replace(whole, threat=ThreatModel("linf", 0.03))) == "L-inf, epsilon 0.03"


def test_the_sanity_block_as_table_and_words() -> None:
    masked = attacked("masked", make_record(sanity=make_sanity(last=10)))
    table = sanity_table([TWO[0], masked])
    assert table is not None
    assert texts(table)[1] == ["masked", "48.9", "45.6", "11.1", "0.0 at 0.5", "0", "0.0 %"]
    assert [cell.detail for cell in table.rows[0][4:]] == ["n 90 [0.0, 4.1]", "of 90", "of 90"]  # 3.84 / (90 + 3.84)
    assert max(map(len, printed(table).splitlines())) <= 80
    (sentence,) = suspicions([TWO[0], masked])
    assert re.match("masked: suspicious: more steps still break more images", sentence)
    assert unsuspicious([TWO[0], masked]).startswith("one-hot: nothing suspicious in the checks")
    assert unsuspicious([masked]) == ""
    unchecked = attacked("x", replace(make_record(), sanity=None))
    assert sanity_table([unchecked]) is None
    assert suspicions([unchecked]) == ()
    assert unsuspicious([unchecked]) == ""


def test_flags_of_autoattack_are_suspicious_too() -> None:
    flagged = attacked("VS", replace(make_record(), autoattack_flags=("the network is randomised",)))
    assert suspicions([flagged]) == ("VS: AutoAttack says: the network is randomised",)
    assert unsuspicious([flagged]) == ""


def test_a_network_that_attacks_on_all_logits_flatter_is_named() -> None:
    # 320 of 500 stand PGD-20 on K + V, 120 the headline.
    assert flattered(TWO) == (
        "VS 0.3: PGD-20 all leaves 64.0 % standing, but the headline is 24.0 %: attacks on the K + V logits flatter "
        "this network.",
    )
    close = attacked("VS", replace(make_record(), headline=Standing.of(300, 500)))
    assert flattered([close]) == ()


def test_settings_show_every_attack_in_turn() -> None:
    table = settings_table(TWO[1])
    assert texts(table)[0] == ["PGD-20 real", "PGD-20", "450", "200", "steps 20, step_size 0.007843"]
    assert texts(table)[-1][2:4] == ["150", "120"]


def test_settings_show_both_precisions() -> None:
    record = make_record(0)
    first = record.columns[0]
    low, high = (replace(first.attacks[0], precision=how, standing=n) for how, n in (("bf16", 210), ("fp32", 200)))
    both = replace(record, precision="bf16", columns=(replace(first, attacks=(low, high)),))
    assert [row[1:4] for row in texts(settings_table(attacked("VS", both)))] == [
        ["PGD-20, bf16", "450", "210"], ["PGD-20", "210", "200"],
    ]


def test_curves_are_the_points_of_the_record() -> None:
    (curve,) = epsilon_curves(TWO[:1])
    assert curve.x == pytest.approx([0, 8, 127.5])
    assert curve.accuracy == pytest.approx([1, 4 / 9, 0])
    assert (curve.low <= curve.accuracy).all()
    assert (curve.accuracy <= curve.high).all()
    assert "1/255" in epsilon_label(TWO)
    euclidean = attacked("VS", replace(make_record(), threat=ThreatModel("l2", 0.5)))
    assert epsilon_curves([euclidean])[0].x == pytest.approx([0, 8 / 255, 0.5])
    assert epsilon_label([euclidean]) == "Epsilon (L2)"
    assert step_curves(TWO)[1].x.tolist() == [20, 100, 1000]
    (surface, _) = loss_surfaces(TWO)
    assert surface.loss == pytest.approx(np.array([[0, -1, 0], [1, 0, 1], [2, 1, 2]]))
    assert surface.note == "around test image 17"


def test_seeds_are_named_and_questions_kept_apart(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=2)
    attack_by_hand(made)
    attack_by_hand(made, replace(make_record(), threat=ThreatModel("linf", 4 / 255)), key="9f9f")
    narrow, wide = attacked_questions(made)
    assert threat_words(narrow[0].record) == "L-inf, epsilon 4/255"
    assert [run.name for run in wide[:2]] == ["one-hot, seed 0", "one-hot, seed 1"]
    assert len(wide) == len(made.runs)


def test_of_two_evaluations_the_lower_headline_counts(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    for key, headline in (("1", 110), ("2", 80), ("3", 120)):
        attack_by_hand(made, make_record(headline=headline), key)
    (runs,) = attacked_questions(made)
    assert {run.record.headline.count for run in runs} == {80}
    assert runs[0].folder.name.endswith("-2")
    assert CLEAN > 80


def test_the_page_has_a_section_with_figures_and_warnings(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    before = render_page(made)
    assert "Under attack" not in before
    attack_by_hand(made, make_record(sanity=make_sanity(last=10)))
    page = render_page(made)
    assert "<h2>Under attack: L-inf, epsilon 8/255, 500 of 10,000 test images</h2>" in page
    assert page.count('<li class="fails">') == 4
    assert "more steps still break more images" in page
    assert page.count("<svg role") == before.count("<svg role") + 3
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert not re.search(r'(?:src|href)="(?!#|data:image/png;base64,)', page)


def test_markdown_has_every_column() -> None:
    runs = [attacked(f"run {place}", make_record()) for place in range(4)]
    assert to_markdown(robust_table(runs)).splitlines()[0].count("|") == 9
