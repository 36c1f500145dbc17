"""What is said of teachers: gains, losses, and what cannot be told."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from outcome_builders import MadeUp
from record_builders import group_of, run_record, teacher_of
from rich.console import Console

from vsmooth.digests import digest_of
from vsmooth.records.comparison import Comparison, write_summary
from vsmooth.records.run import write_record
from vsmooth.records.teacher import TeacherRecord
from vsmooth.report import print_sections, render_page, result_table, seed_table
from vsmooth.report.comparison.distillation import claims, findings
from vsmooth.report.comparison.sections import results
from vsmooth.report.comparison.tables import teacher_table
from vsmooth.report.drawing.style import styles

PLAIN = (0.880, 0.882, 0.881)
ONE_HOT = teacher_of("one-hot", "runs/a", "a", "one-hot", 0.0, "big")
LS = teacher_of("LS 0.3", "runs/b", "b", "label-smoothing", 0.3, "big")
VS = teacher_of("VS 0.3", "runs/c", "c", "virtual-smoothing", 0.3, "big")
ORACLE = teacher_of("oracle", "oracle.npz", "d")
Scores = tuple[float, ...]


def taught(students: dict[TeacherRecord | None, Scores], directory: Path = Path(".")) -> Comparison:
    runs = []
    for teacher, scores in students.items():
        for seed, accuracy in enumerate(scores):
            metrics = {"accuracy": accuracy, "ece": 0.03, "nll": 0.4, "brier": 0.2, "mean_confidence": accuracy + 0.03}
            if teacher is not None:
                metrics |= {"teacher_accuracy": 0.9, "teacher_agreement": 0.95, "teacher_divergence": 0.0512}
            folder = f"{teacher.fingerprint if teacher else 'plain'}-{seed}"
            record = ("one-hot", 0.0, 0, seed, "d", "m", 1, 1, 2, metrics, 1.0, 1.0, (), folder, teacher)
            runs.append(run_record(*record))
    return MadeUp(tuple(runs), "vsmooth distill", {}, ("a", "b"), directory)


def test_gain_and_loss_are_said() -> None:
    better, worse = (0.890, 0.892, 0.890), (0.870, 0.873, 0.871)
    first, second, third, last = findings(taught({None: PLAIN, VS: better, LS: worse}))
    assert first.startswith("Without a teacher the student reaches 88.10 % accuracy with an ECE of 0.030, over")
    change = "+0.97 points (95 % CI +0.68 to +1.26, 3 seeds)"
    assert second.startswith(f"KD from VS 0.3 changes accuracy by {change}: better than no teacher.")
    assert "The teacher itself reaches 90.00 %; its student says the same on 95.00 %" in second
    assert "KL divergence of 0.0512 nats" in second
    assert "KD from LS 0.3 changes accuracy by -0.97 points" in third
    assert "worse than no teacher" in third
    assert "another of the same label may teach better or worse" in last


def test_the_papers_claims() -> None:
    students: dict[TeacherRecord | None, Scores] = {
        None: PLAIN, ONE_HOT: (0.884, 0.886, 0.885), LS: (0.874, 0.876, 0.875), VS: (0.894, 0.896, 0.895)
    }  # fmt: skip
    found = claims(taught(students))
    assert [claim.outcome for claim in found] == ["holds"] * 4
    assert [claim.label for claim in found] == [
        "KD from VS 0.3", "KD from VS 0.3, KD from one-hot", "KD from VS 0.3, KD from LS 0.3",
        "KD from LS 0.3, KD from one-hot",
    ]  # fmt: skip
    assert found[1].evidence.startswith("+1.00 points (95 % CI")
    turned = claims(taught({None: PLAIN, VS: students[LS], LS: students[VS], ONE_HOT: students[ONE_HOT]}))
    assert [claim.outcome for claim in turned] == ["does not hold"] * 4
    unclear = claims(taught({None: PLAIN, VS: (0.87, 0.90, 0.88)}))
    assert [claim.outcome for claim in unclear] == ["not distinguishable"] + ["not tested"] * 3
    assert unclear[1].evidence == "no one-hot teacher in this comparison"
    assert unclear[3].evidence == "no LS teacher in this comparison"


def test_without_a_plain_student() -> None:
    comparison = taught({VS: PLAIN})
    assert findings(comparison) == (
        "No student without a teacher was trained, so nothing can be said about gains or losses.",
    )
    assert claims(comparison)[0].outcome == "not tested"


def test_tables() -> None:
    comparison = taught({None: PLAIN, ORACLE: (0.890, 0.892, 0.890)})
    table = result_table(comparison)
    titles = [column.title.replace("\n", " ") for column in table.columns]
    plain, student = (dict(zip(titles, row, strict=True)) for row in table.rows)
    assert (plain["Student"].text, student["Student"].text) == ("plain", "KD from oracle")
    assert student["Teacher's accuracy %"].text == "90.00 ± 0.00"
    assert student["Agrees with teacher, %"].text == "95.00 ± 0.00"
    assert student["KL(teacher ‖ student)"].text == "0.0512 ± 0.0000"
    assert plain["KL(teacher ‖ student)"].text == "–"
    assert student["Accuracy %"].detail == "+0.97 [+0.68, +1.26]"
    assert plain["Accuracy %"].detail == ""
    assert any("paired difference from no teacher" in note for note in table.notes)
    assert [row[0].text for row in seed_table(comparison).rows] == ["plain"] * 3 + ["KD from oracle"] * 3


def printed(comparison: Comparison, width: int) -> list[str]:
    stream = io.StringIO()
    print_sections((results(comparison),), Console(file=stream, width=width))
    return stream.getvalue().splitlines()


def test_a_narrow_terminal_shows_teachers_in_a_table_of_their_own() -> None:
    students: dict[TeacherRecord | None, Scores] = {None: PLAIN, ORACLE: (0.890, 0.892, 0.890), VS: PLAIN}
    lines = printed(taught(students), 80)
    assert max(map(len, lines)) <= 80
    (row,) = (line for line in lines if "KD from oracle" in line and "0.0512" in line)
    assert "90.00 ± 0.00" in row
    assert "95.00 ± 0.00" in row
    (wide,) = (line for line in printed(taught(students), 220) if "KD from oracle" in line)
    assert "0.0512 ± 0.0000" in wide


def test_table_of_teachers() -> None:
    assert teacher_table(taught({None: PLAIN})) is None
    comparison = taught({None: PLAIN, ORACLE: (0.89,), VS: PLAIN})
    unknown = replace(comparison.runs[3], metrics={"accuracy": 0.89})
    table = teacher_table(replace(comparison, runs=(*comparison.runs[:3], unknown, *comparison.runs[4:])))
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["KD from oracle", "–", "–", "–"], ["KD from VS 0.3", "90.00 ± 0.00", "95.00 ± 0.00", "0.0512 ± 0.0000"],
    ]  # fmt: skip
    assert any("saved logits without those of the test images" in note for note in table.notes)


def test_students_look_like_their_teachers_label() -> None:
    groups = taught({None: PLAIN, ONE_HOT: PLAIN, VS: PLAIN, ORACLE: PLAIN}).groups
    looks = styles(groups)
    own = styles([group_of(), group_of("virtual-smoothing", 0.3)])
    assert (looks[1], looks[2]) == own
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 4
    twin = teacher_of("VS 0.3 (other)", "e", "e", "virtual-smoothing", 0.3)
    twins = styles(taught({None: PLAIN, VS: PLAIN, twin: PLAIN}).groups)
    assert twins[1].colour != twins[2].colour


@pytest.mark.parametrize("seeds", [1, 3])
def test_page(tmp_path: Path, seeds: int) -> None:
    comparison = taught({None: PLAIN[:seeds], VS: (0.890, 0.892, 0.890)[:seeds]}, tmp_path)
    runs = []
    for run in comparison.runs:
        file = tmp_path / run.folder / "predictions-test.npz"
        file.parent.mkdir()
        logits = np.random.default_rng(run.seed).normal(size=(200, 2)).astype(np.float32)
        np.savez(file, logits=logits, labels=np.zeros(200, np.int64))
        runs.append(replace(run, digests={file.name: digest_of(file)}))
        write_record(runs[-1], file.parent)
    comparison = replace(comparison, runs=tuple(runs))
    write_summary(comparison, tmp_path)
    page = render_page(comparison)
    said = "Which teacher teaches best?", "Without a teacher the student", "<strong>KD from VS", "Agreement: share"
    for words in said:
        assert words in page
    assert "Does virtual smoothing help here?" not in page
    assert ("There is one seed" in page) == (seeds == 1)
