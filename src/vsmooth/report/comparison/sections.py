"""Sections on what was compared: what the runs show, the results, and the confidence behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.outcomes import Outcomes
from vsmooth.report.calibration.figures import ReliabilityPanel, reliability_diagrams
from vsmooth.report.comparison import figures
from vsmooth.report.comparison.findings import Claim, gap_words
from vsmooth.report.comparison.metrics import CALIBRATED, confidence_gap
from vsmooth.report.comparison.reliability import pool, reliability_bins
from vsmooth.report.comparison.subject import subject_of
from vsmooth.report.comparison.tables import result_table
from vsmooth.report.drawing.style import Style, styles
from vsmooth.report.render.table import Cell, Column, Table
from vsmooth.report.section import Bullets, Caption, Figure, Panels, Section, Text

_HOLDS = {"holds": True, "does not hold": False}


def header(comparison: Comparison) -> Section:
    """The question, and what was trained to answer it."""
    first, names = comparison.runs[0], [group.name for group in comparison.groups]
    subject, seeds = subject_of(comparison), len({run.seed for run in comparison.runs})
    facts = (
        f"{first.model} ({first.parameters:,} parameters) · {first.data} ({first.num_classes} classes) · "
        f"{first.epochs} epoch{'s' if first.epochs != 1 else ''} · {seeds} seed{'s' if seeds != 1 else ''} · "
        f"{', '.join(names)}"
    )
    return Section(subject.title, Text(subject.about), Text(facts, note=True))


def sections(comparison: Comparison) -> tuple[Section, ...]:
    """From what the runs show to accuracy against calibration. ValueError if predictions are missing."""
    outcomes = [pool([comparison.outcomes(run) for run in group.runs]) for group in comparison.groups]
    looks = styles(comparison.groups)
    return (
        _verdicts(comparison),
        results(comparison),
        _reliability(comparison, outcomes, looks),
        _histograms(comparison, outcomes),
        _scatter(comparison, looks),
    )


def results(comparison: Comparison) -> Section:
    """The table of results, and what its columns mean."""
    glossary = (
        "ECE: expected calibration error, the mean distance between confidence and accuracy over 15 bins "
        "(0 is perfect). NLL: negative log-likelihood of the right class, in nats. Brier: squared error "
        "of the probabilities, 0 to 2. For all three, less is better. Test probabilities are the softmax "
        f"over the real classes only.{subject_of(comparison).glossary}"
    )
    return Section("Results on the test images", result_table(comparison), Text(glossary, note=True))


def _verdicts(comparison: Comparison) -> Section:
    subject, names = subject_of(comparison), tuple(group.name for group in comparison.groups)
    found = Bullets(subject.findings(comparison), names=(*names, "One-hot"))
    return Section("What the runs show", found, _claim_table(subject.claims(comparison)))


def _claim_table(claims: Sequence[Claim]) -> Table:
    titles = "The paper says", "Checked on", "Here", "Numbers"
    rows = tuple(
        (
            Cell(claim.text),
            Cell(claim.label),
            Cell(claim.verdict, holds=_HOLDS.get(claim.outcome)),
            Cell(claim.evidence),
        )
        for claim in claims
    )
    return Table(tuple(Column(title, prose=True) for title in titles), rows)


def _reliability(comparison: Comparison, outcomes: Sequence[Outcomes], looks: Sequence[Style]) -> Section:
    panels = []
    for place, (group, found, look) in enumerate(zip(comparison.groups, outcomes, looks, strict=True)):
        # Pooled over seeds, the outcomes on one image are not independent, so there is no interval to draw.
        alone = len(group.runs) == 1
        panel = ReliabilityPanel(group.name, reliability_bins(found), look, _panel_note(group), intervals=alone)
        draw = partial(reliability_diagrams, [panel])
        panels.append(Figure(f"pooled-reliability-{place + 1}", f"Reliability diagram of {group.name}", draw))
    words = (
        "Predictions are sorted by stated confidence into 15 bins; a bar is the share of them that is "
        "right. On the dashed line confidence equals accuracy. Red hatching is the gap: bars below the "
        "line are over-confident, bars above it under-confident. Pale bars hold fewer than "
        f"{figures.FEW_SAMPLES} images. Below: the share of images in each bin. Several seeds are pooled, and "
        "their ECE is the mean; of one seed a thin line shows the interval of each bar (Wilson, 95 %)."
    )
    return Section("Is the confidence right?", Caption(words), Panels(tuple(panels)))


def _panel_note(group: Group) -> str:
    ece, gap = group.summary("ece"), confidence_gap(group)
    spread = "" if ece is None or ece.std is None else f" ± {ece.std:.3f}"
    lines = [] if ece is None else [f"ECE {ece.mean:.3f}{spread}"]
    if np.isfinite(gap):
        lines.append("confidence fits accuracy" if abs(gap) < CALIBRATED else gap_words(gap))
    return "\n".join(lines)


def _histograms(comparison: Comparison, outcomes: Sequence[Outcomes]) -> Section:
    limit = max(figures.tallest_share(found) for found in outcomes)
    panels = tuple(
        Figure(
            f"confidence-{place + 1}",
            f"Confidence histogram of {group.name}",
            partial(figures.confidence_histogram, group.name, found, limit),
        )
        for place, (group, found) in enumerate(zip(comparison.groups, outcomes, strict=True))
    )
    words = (
        "Upwards: predictions that are right; downwards, hatched: predictions that are wrong; each as a "
        "share of its own kind. A useful confidence is high above the line and low below it."
    )
    return Section("How sure, when right and when wrong?", Caption(words), Panels(panels))


def _scatter(comparison: Comparison, looks: Sequence[Style]) -> Section:
    clouds, title = [], "Accuracy against calibration"
    for group, look in zip(comparison.groups, looks, strict=True):
        points = [(run.value("ece"), run.value("accuracy") * 100) for run in group.runs]
        kept = np.array([point for point in points if np.isfinite(point).all()])
        if len(kept):
            clouds.append(figures.Cloud(group.name, look, kept[:, 0], kept[:, 1]))
    if not clouds:
        return Section(title)
    words = "Up and to the left is better. Small points are single seeds, large ones their mean."
    draw = partial(figures.accuracy_against_ece, clouds)
    return Section(title, Caption(words), Figure("accuracy-against-ece", "Test accuracy against ECE", draw, "wide"))
