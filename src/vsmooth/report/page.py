"""The report as one self-contained HTML page: words first, then the table, then the pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from vsmooth.atomic import replacing
from vsmooth.experiments.record import Comparison, Group
from vsmooth.report import figures, tables
from vsmooth.report.findings import Claim, claims, findings, gap_words
from vsmooth.report.reliability import Floats, Outcomes, pool, reliability_bins, run_outcomes
from vsmooth.report.render import to_html, typeset
from vsmooth.report.style import Style, styles

CURVES = (
    ("validation_accuracy", "Validation accuracy, %", True),
    ("validation_nll", "Validation NLL, nats", False),
    ("validation_ece", "Validation ECE", False),
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
    outcomes = [pool([run_outcomes(comparison, run) for run in group.runs]) for group in comparison.groups]
    looks = styles(comparison.groups)
    sections = (
        _header(comparison),
        _section("What the runs show", _verdicts(comparison)),
        _section("Results on the test images", to_html(tables.result_table(comparison)) + _glossary()),
        _section("Is the confidence right?", _reliability(comparison, outcomes, looks)),
        _section("How sure, when right and when wrong?", _histograms(comparison, outcomes)),
        _section("Accuracy against calibration", _scatter(comparison, looks)),
        _section("Training curves", _curves(comparison, looks)),
        _section("How alpha was chosen", _selection(comparison)),
        _section("Every run", _runs(comparison)),
        _section("Reproduce", _reproduce(comparison)),
    )
    css = files("vsmooth.report").joinpath("page.css").read_text(encoding="utf-8")
    first = comparison.runs[0]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>vsmooth: {escape(first.model)} on {escape(first.data)}</title><style>{css}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _text(text: str) -> str:
    return escape(typeset(text))


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{_text(text)}</p>' if kind else f"<p>{_text(text)}</p>"


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
    title = "<h1>Does virtual smoothing help here?</h1>"
    return f"<header>{title}{_paragraph(about)}{_paragraph(facts, 'facts')}</header>"


def _verdicts(comparison: Comparison) -> str:
    names = "|".join(re.escape(_text(group.name)) for group in comparison.groups)
    items = "".join(
        "<li>" + re.sub(f"^({names}|One-hot)", r"<strong>\1</strong>", _text(text)) + "</li>"
        for text in findings(comparison)
    )
    rows = "".join(_claim_row(claim) for claim in claims(comparison))
    titles = ("The paper says", "Checked on", "Here", "Numbers")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<ul class="findings">{items}</ul><div class="scroll claims" tabindex="0">{table}</div>'


def _claim_row(claim: Claim) -> str:
    kind, mark = MARKS.get(claim.outcome, ("", ""))
    cells = f'<td>{_text(claim.label)}</td><td class="{kind}">{mark} {_text(claim.verdict)}</td>'
    return f'<tr><th scope="row">{_text(claim.text)}</th>{cells}<td>{_text(claim.evidence)}</td></tr>'


def _glossary() -> str:
    return _paragraph(
        "ECE: expected calibration error, the mean distance between confidence and accuracy over 15 bins "
        "(0 is perfect). NLL: negative log-likelihood of the right class, in nats. Brier: squared error "
        "of the probabilities, 0 to 2. For all three, less is better. Test probabilities are the softmax "
        "over the real classes only.",
        "note",
    )


def new_figure(svg: str, kind: str = "") -> str:
    return f'<figure class="{kind}">{svg}</figure>' if kind else f"<figure>{svg}</figure>"


def _reliability(comparison: Comparison, outcomes: Sequence[Outcomes], looks: Sequence[Style]) -> str:
    panels = []
    for i, (group, found, look) in enumerate(zip(comparison.groups, outcomes, looks, strict=True)):
        figure = figures.reliability_diagram(group.name, reliability_bins(found), look, _panel_note(group))
        panels.append(new_figure(figures.to_svg(figure, f"Reliability diagram of {group.name}", f"r{i}")))
    text = (
        "Predictions are sorted by stated confidence into 15 bins; a bar is the share of them that is "
        "right. On the dashed line confidence equals accuracy. Red hatching is the gap: bars below the "
        "line are over-confident, bars above it under-confident. Pale bars hold fewer than "
        f"{figures.FEW_SAMPLES} images. Below: the share of images in each bin. The seeds are pooled; the "
        "ECE is the mean over seeds."
    )
    return _paragraph(text) + f'<div class="figures">{"".join(panels)}</div>'


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
        panels.append(new_figure(figures.to_svg(figure, f"Confidence histogram of {group.name}", f"h{i}")))
    text = (
        "Upwards: predictions that are right; downwards, hatched: predictions that are wrong; each as a "
        "share of its own kind. A useful confidence is high above the line and low below it."
    )
    return _paragraph(text) + f'<div class="figures">{"".join(panels)}</div>'


def _scatter(comparison: Comparison, looks: Sequence[Style]) -> str:
    clouds = []
    for group, look in zip(comparison.groups, looks, strict=True):
        points = [(run.value("ece"), run.value("accuracy") * 100) for run in group.runs]
        kept = np.array([point for point in points if np.isfinite(point).all()])
        if len(kept):
            clouds.append(figures.Cloud(group.name, look, kept[:, 0], kept[:, 1]))
    if not clouds:
        return ""
    svg = figures.to_svg(figures.accuracy_against_ece(clouds), "Test accuracy against ECE", "s")
    text = "Up and to the left is better. Small points are single seeds, large ones their mean."
    return _paragraph(text) + new_figure(svg, "wide")


def _curves(comparison: Comparison, looks: Sequence[Style]) -> str:
    panels = []
    for i, (field, title, percent) in enumerate(CURVES):
        curves = [
            figures.Curve(group.name, look, values)
            for group, look in zip(comparison.groups, looks, strict=True)
            if (values := _history(group, field)).shape[1]
        ]
        if curves:
            figure = figures.training_curves(curves, title, percent)
            panels.append(new_figure(figures.to_svg(figure, f"{title} by epoch", f"c{i}")))
    if not panels:
        return ""
    text = (
        "On validation images, which are cut from the training set. Lines are means over the seeds, bands "
        "their range. Training losses are left out: each label has its own scale."
    )
    return _paragraph(text) + f'<div class="figures" style="--least: 310px">{"".join(panels)}</div>'


def _history(group: Group, field: str) -> Floats:
    shortest = min(len(run.history) for run in group.runs)
    rows = [[getattr(epoch, field) for epoch in run.history[:shortest]] for run in group.runs]
    values = np.array(rows, dtype=np.float64)
    return values if np.isfinite(values).any() else values[:, :0]


def _selection(comparison: Comparison) -> str:
    found = [(group, table) for group in comparison.groups if (table := tables.selection_table(group))]
    if not found:
        return ""
    text = "Each candidate was scored on validation images; the test images had no part in the choice."
    return _paragraph(text) + "".join(
        f"<p><strong>{_text(group.name)}</strong></p>{to_html(table, 'compact')}" for group, table in found
    )


def _runs(comparison: Comparison) -> str:
    table = to_html(tables.seed_table(comparison), "compact")
    return f"<details><summary>{len(comparison.runs)} runs, one row per seed</summary>{table}</details>"


def _reproduce(comparison: Comparison) -> str:
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in comparison.runs}))
    facts = {**comparison.environment, "seeds": seeds}
    rows = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    return f"<pre>{escape(comparison.command)}</pre><dl>{rows}</dl>"
