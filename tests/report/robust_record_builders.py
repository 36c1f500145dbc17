"""Records as `vsmooth attack` would leave them, with made-up counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vsmooth.attacks.threat import ThreatModel
from vsmooth.records.comparison import Comparison
from vsmooth.records.robust import AttackRecord, ColumnRecord, RobustRecord, write_robust
from vsmooth.records.sanity import LossGrid, SanityReport, SweepPoint
from vsmooth.records.standing import Standing

IMAGES, CLEAN = 500, 450
STEPS = (-1.0, 0.0, 1.0)


def column(name: str, view: str, count: int, *, standing: bool = False, attacked: int = CLEAN) -> ColumnRecord:
    attack = AttackRecord(name.split()[0], {"steps": 20, "step_size": 2 / 255, "targets": None}, count)
    return ColumnRecord(
        name, view, "standing" if standing else "right", attacked, Standing.of(count, IMAGES), (attack,)
    )


def make_sanity(last: int = 40) -> SanityReport:
    points = tuple(SweepPoint(at, Standing.of(count, 90)) for at, count in ((20, 44), (100, 41), (1000, 40)))
    epsilons = ((8 / 255, 40), (0.5, 0))
    return SanityReport(
        images=90,
        steps=(*points[:-1], SweepPoint(1000, Standing.of(last, 90))),
        epsilons=tuple(SweepPoint(at, Standing.of(count, 90)) for at, count in epsilons),
        white_box=Standing.of(40, 90),
        square=Standing.of(60, 90),
        square_broke=0,
        zero_gradient_share=0.0,
        surface=LossGrid(17, STEPS, STEPS, tuple(tuple(a + b * b for b in STEPS) for a in STEPS)),
    )


def make_record(num_virtual: int = 10, headline: int = 120, sanity: SanityReport | None = None) -> RobustRecord:
    columns = [column("PGD-20 real", "real", 200), column("AA real", "real", 150)]
    if num_virtual:
        columns += [column("PGD-20 all", "all", 320), column("AA+ all", "all", 260)]
    columns.append(column("multi-target", "real", headline, standing=True, attacked=150))
    return RobustRecord(
        threat=ThreatModel("linf", 8 / 255),
        images=IMAGES,
        split_images=10_000,
        num_classes=10,
        num_virtual=num_virtual,
        clean=Standing.of(CLEAN, IMAGES),
        columns=tuple(columns),
        headline=Standing.of(headline, IMAGES),
        weights="0123456789abcdef",
        seed=0,
        precision="fp32",
        seconds=12.0,
        sanity=sanity or make_sanity(),
        autoattack_version="0.2.0",
    )


def attack_by_hand(comparison: Comparison, record: RobustRecord | None = None, key: str = "0a1b") -> None:
    """Write a record into the folder of each run."""
    for run in comparison.runs:
        found = record or make_record(run.variant.objective.num_virtual, 100 + 10 * run.seed)
        found = replace(found, num_virtual=run.variant.objective.num_virtual)
        folder = Path(comparison.directory, run.folder, "attack", f"linf-0.0314-n500-{key}")
        folder.mkdir(parents=True)
        write_robust(found, folder)
