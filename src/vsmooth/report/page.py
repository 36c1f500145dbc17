"""The report as one self-contained HTML page: words first, then the table, then the pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from vsmooth.atomic import replacing
from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.outcomes import Outcomes
from vsmooth.report.calibration.figures import ReliabilityPanel, reliability_diagrams
from vsmooth.report.calibration.sections import calibration_sections
from vsmooth.report.comparison import distillation, figures, tables
from vsmooth.report.comparison.findings import Claim, claims, findings, gap_words
from vsmooth.report.comparison.provenance import differences_of_environment
from vsmooth.report.comparison.reliability import Floats, pool, reliability_bins
from vsmooth.report.drawing.style import Style, styles
from vsmooth.report.inspection.sections import inspection_sections
from vsmooth.report.render.html import bullets, escaped, framed, paragraph, section, side_by_side
from vsmooth.report.render.table import to_html
from vsmooth.report.robust.sections import robust_sections

CURVES = (
    ("accuracy", "Validation accuracy, %", True),
    ("nll", "Validation NLL, nats", False),
    ("ece", "Validation ECE", False),
)
MARKS = {"holds": ("holds", "✓"), "does not hold": ("fails", "✗")}


def write_page(comparison: Comparison, path: str | Path) -> Path:
    """Writes the page, whole or not at all; it needs no network. ValueError if predictions are missing."""
    path = Path(path)
    page = render_page(comparison)
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render_page(comparison: Comparison) -> str:
    """The page as a string."""
    outcomes = [pool([comparison.outcomes(run) for run in group.runs]) for group in comparison.groups]
    looks = styles(comparison.groups)
    sections = (
        _header(comparison),
        section("What the runs show", _verdicts(comparison)),
        section("Results on the test images", to_html(tables.result_table(comparison)) + _glossary(comparison)),
        section("Is the confidence right?", _reliability(comparison, outcomes, looks)),
        section("How sure, when right and when wrong?", _histograms(comparison, outcomes)),
        section("Accuracy against calibration", _scatter(comparison, looks)),
        calibration_sections(comparison),
        inspection_sections(comparison),
        robust_sections(comparison),
        section("Training curves", _curves(comparison, looks)),
        section("How alpha was chosen", _selection(comparison)),
        section("Every run", _runs(comparison)),
        section("Reproduce", _reproduce(comparison)),
    )
    css = files("vsmooth.report").joinpath("page.css").read_text(encoding="utf-8")
    first = comparison.runs[0]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>vsmooth: {escape(first.model)} on {escape(first.data)}</title><style>{css}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _header(comparison: Comparison) -> str:
    first, names = comparison.runs[0], [group.name for group in comparison.groups]
    seeds = sorted({run.seed for run in comparison.runs})
    about = (
        "The same network was trained several times on the same images; only the training labels differ. "
        "One-hot labels ask for full confidence in the right class; label smoothing (LS) hands a share "
        "alpha to the other classes; virtual smoothing (VS) hands it to extra classes that exist only "
        "during training. The question is which network is right more often (accuracy) and whose stated "
        "confidence can be trusted (calibration)."
    )
    facts = (
        f"{first.model} ({first.parameters:,} parameters) · {first.data} ({first.num_classes} classes) · "
        f"{first.epochs} epochs · {len(seeds)} seed{'s' if len(seeds) != 1 else ''} · {', '.join(names)}"
    )
    title = "Does virtual smoothing help here?"
    if comparison.taught:
        title, about = distillation.TITLE, distillation.ABOUT
    return f"<header><h1>{title}</h1>{paragraph(about)}{paragraph(facts, 'facts')}</header>"


def _verdicts(comparison: Comparison) -> str:
    taught = (distillation.findings, distillation.claims)
    say, check = taught if comparison.taught else (findings, claims)
    names = "|".join(re.escape(escaped(group.name)) for group in comparison.groups)
    items = "".join(
        "<li>" + re.sub(f"^({names}|One-hot)", r"<strong>\1</strong>", escaped(text)) + "</li>"
        for text in say(comparison)
    )
    rows = "".join(_claim_row(claim) for claim in check(comparison))
    titles = ("The paper says", "Checked on", "Here", "Numbers")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<ul class="findings">{items}</ul><div class="scroll claims" tabindex="0">{table}</div>'


def _claim_row(claim: Claim) -> str:
    kind, mark = MARKS.get(claim.outcome, ("", ""))
    cells = f'<td>{escaped(claim.label)}</td><td class="{kind}">{mark} {escaped(claim.verdict)}</td>'
    return f'<tr><th scope="row">{escaped(claim.text)}</th>{cells}<td>{escaped(claim.evidence)}</td></tr>'


def _glossary(comparison: Comparison) -> str:
    taught = distillation.GLOSSARY if comparison.taught else ""
    return paragraph(
        "ECE: expected calibration error, the mean distance between confidence and accuracy over 15 bins "
        "(0 is perfect). NLL: negative log-likelihood of the right class, in nats. Brier: squared error "
        "of the probabilities, 0 to 2. For all three, less is better. Test probabilities are the softmax "
        f"over the real classes only.{taught}",
        "note",
    )


def _reliability(comparison: Comparison, outcomes: Sequence[Outcomes], looks: Sequence[Style]) -> str:
    panels = []
    for i, (group, found, look) in enumerate(zip(comparison.groups, outcomes, looks, strict=True)):
        # Pooled over seeds, the outcomes on one image are not independent, so there is no interval to draw.
        alone = len(group.runs) == 1
        panel = ReliabilityPanel(group.name, reliability_bins(found), look, _panel_note(group), intervals=alone)
        panels.append(framed(reliability_diagrams([panel]), f"Reliability diagram of {group.name}", f"r{i}"))
    text = (
        "Predictions are sorted by stated confidence into 15 bins; a bar is the share of them that is "
        "right. On the dashed line confidence equals accuracy. Red hatching is the gap: bars below the "
        "line are over-confident, bars above it under-confident. Pale bars hold fewer than "
        f"{figures.FEW_SAMPLES} images. Below: the share of images in each bin. Several seeds are pooled, and "
        "their ECE is the mean; of one seed a thin line shows the interval of each bar (Wilson, 95 %)."
    )
    return paragraph(text) + side_by_side(panels)


def _panel_note(group: Group) -> str:
    ece, gap = group.summary("ece"), tables.confidence_gap(group)
    spread = "" if ece is None or ece.std is None else f" ± {ece.std:.3f}"
    lines = [] if ece is None else [f"ECE {ece.mean:.3f}{spread}"]
    if np.isfinite(gap):
        lines.append("confidence fits accuracy" if abs(gap) < tables.CALIBRATED else gap_words(gap))
    return "\n".join(lines)


def _histograms(comparison: Comparison, outcomes: Sequence[Outcomes]) -> str:
    limit = max(figures.tallest_share(found) for found in outcomes)
    panels = []
    for i, (group, found) in enumerate(zip(comparison.groups, outcomes, strict=True)):
        figure = figures.confidence_histogram(group.name, found, limit)
        panels.append(framed(figure, f"Confidence histogram of {group.name}", f"h{i}"))
    text = (
        "Upwards: predictions that are right; downwards, hatched: predictions that are wrong; each as a "
        "share of its own kind. A useful confidence is high above the line and low below it."
    )
    return paragraph(text) + side_by_side(panels)


def _scatter(comparison: Comparison, looks: Sequence[Style]) -> str:
    clouds = []
    for group, look in zip(comparison.groups, looks, strict=True):
        points = [(run.value("ece"), run.value("accuracy") * 100) for run in group.runs]
        kept = np.array([point for point in points if np.isfinite(point).all()])
        if len(kept):
            clouds.append(figures.Cloud(group.name, look, kept[:, 0], kept[:, 1]))
    if not clouds:
        return ""
    text = "Up and to the left is better. Small points are single seeds, large ones their mean."
    return paragraph(text) + framed(figures.accuracy_against_ece(clouds), "Test accuracy against ECE", "s", "wide")


def _curves(comparison: Comparison, looks: Sequence[Style]) -> str:
    panels = []
    for i, (metric, title, percent) in enumerate(CURVES):
        curves = [
            figures.Curve(group.name, look, values)
            for group, look in zip(comparison.groups, looks, strict=True)
            if (values := _history(group, metric)).shape[1]
        ]
        if curves:
            figure = figures.training_curves(curves, title, percent)
            panels.append(framed(figure, f"{title} by epoch", f"c{i}"))
    if not panels:
        return ""
    text = (
        "On validation images, which are cut from the training set. Lines are means over the seeds, bands "
        "their range. Training losses are left out: each label has its own scale."
    )
    return paragraph(text) + side_by_side(panels, "310px")


def _history(group: Group, metric: str) -> Floats:
    shortest = min(len(run.history) for run in group.runs)
    rows = [[epoch.validation.get(metric, np.nan) for epoch in run.history[:shortest]] for run in group.runs]
    values = np.array(rows, dtype=np.float64)
    return values if np.isfinite(values).any() else values[:, :0]


def _selection(comparison: Comparison) -> str:
    found = [(group, table) for group in comparison.groups if (table := tables.selection_table(group))]
    if not found:
        return ""
    text = "Each candidate was scored on validation images; the test images had no part in the choice."
    return paragraph(text) + "".join(
        f"<p><strong>{escaped(group.name)}</strong></p>{to_html(table, 'compact')}" for group, table in found
    )


def _runs(comparison: Comparison) -> str:
    table = to_html(tables.seed_table(comparison), "compact")
    return f"<details><summary>{len(comparison.runs)} runs, one row per seed</summary>{table}</details>"


def _reproduce(comparison: Comparison) -> str:
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in comparison.runs}))
    facts = {**comparison.environment, "seeds": seeds}
    rows = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    differing = differences_of_environment(comparison.runs)
    return f"<pre>{escape(comparison.command)}</pre><dl>{rows}</dl>{bullets(differing) if differing else ''}"
