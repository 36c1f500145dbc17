"""Records as `vsmooth inspect` would leave them, made of seeded random numbers."""

from __future__ import annotations

from pathlib import Path

import torch

from vsmooth.digests import digest_of
from vsmooth.evaluate import Features, evaluate_similarity
from vsmooth.metrics import BootstrapInterval, virtual_diagnostics
from vsmooth.records.comparison import Comparison
from vsmooth.records.gradient_maps import GRADIENTS_FILE, GradientMaps, Overlap
from vsmooth.records.inspection import FEATURES, InspectionRecord, write_inspection
from vsmooth.records.run import RunRecord

PLANE = (7, 2, 4)
WIDTH = 16


def make_features(run: RunRecord, samples: int, classes: tuple[int, ...] | None = None) -> Features:
    """Clusters around the templates of the classes; virtual templates where the label has them."""
    generator = torch.Generator().manual_seed(run.seed)
    rows = torch.randn(run.num_classes + run.variant.objective.num_virtual, WIDTH, generator=generator)
    known = torch.tensor(range(run.num_classes) if classes is None else classes)
    labels = known.repeat(samples // len(known) + 1)[:samples]
    activations = rows[labels] + 0.6 * torch.randn(samples, WIDTH, generator=generator) * (1 + alpha_of(run))
    real = run.num_classes
    bias = torch.zeros(real)
    return Features(activations, activations @ rows.T, labels, rows[:real], bias, rows[real:])


def alpha_of(run: RunRecord) -> float:
    return run.variant.objective.parameter or 0.0


def inspect_by_hand(comparison: Comparison, integrated: bool = False) -> None:
    """Write features, gradients and a record into the folder of each run."""
    for run in comparison.runs:
        folder = Path(comparison.directory, run.folder)
        features = make_features(run, 200)
        features.save(folder / FEATURES["test"])
        make_features(run, 90, PLANE).save(folder / FEATURES["train"])
        names = ["correct", "incorrect", *(["virtual"] if run.variant.objective.num_virtual else [])]
        names += [f"integrated {name}" for name in names] if integrated else []
        images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1 + int(100 * alpha_of(run)))
        maps = {name: torch.randn(2, 3, 8, 8, generator=generator) for name in names}
        GradientMaps(images, torch.tensor([3, 0]), maps).save(folder)
        other = comparison.baseline_run(run)
        virtual = virtual_diagnostics(
            features.logits, features.real_templates, features.virtual_templates, alpha_of(run)
        ) if run.variant.objective.num_virtual else None
        others = "virtual" if run.variant.objective.num_virtual else "incorrect"
        overlap = {others: Overlap(BootstrapInterval(0.41, 0.39, 0.43), 0.9, 64)}
        record = InspectionRecord(
            200,
            PLANE,
            virtual,
            evaluate_similarity(features, baseline=None if other is None else make_features(other, 200), resamples=40),
            None if other is None else Path(other.folder).name,
            {Path(o.folder).name: 0.5 for o in comparison.runs if o is not run},
            overlap,
            {name: digest_of(folder / name) for name in (*FEATURES.values(), GRADIENTS_FILE)},
        )
        write_inspection(record, folder)
