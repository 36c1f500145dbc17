"""Sections of the page on what the last layer holds; empty where no run was inspected."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.records.comparison import Comparison
from vsmooth.report.inspection.inspected import (
    InspectedRun,
    gradient_grid,
    inspected_runs,
    mass_columns,
    plane_columns,
    similarity_matrices,
    similarity_rows,
)
from vsmooth.report.inspection.representation_figures import plane_figure, similarity_heatmaps, virtual_mass_histogram
from vsmooth.report.inspection.saliency_figures import input_gradient_grid
from vsmooth.report.inspection.similarity_table import similarity_findings, similarity_table
from vsmooth.report.inspection.tables import cka_table, overlap_table, virtual_table, virtual_verdicts
from vsmooth.report.render.html import bullets, framed, paragraph, section
from vsmooth.report.render.table import to_html

POINTS = 150  # of a class on a panel: each is an element of the page
SIDE_BY_SIDE = 4


def inspection_sections(comparison: Comparison) -> str:
    """What `vsmooth inspect` left."""
    runs, names = inspected_runs(comparison), comparison.classes
    return (
        section("Three classes on a plane", _plane(runs, names))
        + section("Which similarity the labels keep", _similarity(comparison, runs, names))
        + section("What the virtual classes do", _virtual(runs))
        + section("Where the classes look", _gradients(runs, names))
    )


def _plane(runs: Sequence[InspectedRun], names: Sequence[str]) -> str:
    columns = plane_columns(runs, each=POINTS)[:SIDE_BY_SIDE]
    if not columns:
        return ""
    three = [names[index] for index in runs[0].record.classes]
    words = (
        f"What the classifier sees of {three[0]}, {three[1]} and {three[2]}: activations of the layer before it, on "
        "the plane through the three templates, that is, the classifier's rows. Where classes that are alike lie near "
        "each other, the network has kept how alike they are; an equilateral triangle has lost it. Below each name: "
        "how much of the spread of the three class means lies in the plane."
    )
    return paragraph(words) + framed(plane_figure(columns, three), "Activations of three classes", "p", "full")


def _similarity(comparison: Comparison, runs: Sequence[InspectedRun], names: Sequence[str]) -> str:
    rows = similarity_rows(runs)
    if not rows:
        return ""
    matrices = similarity_matrices(runs)
    shown = {name: matrices[name] for name in list(matrices)[:SIDE_BY_SIDE]}
    heatmaps = framed(similarity_heatmaps(shown, names), "Similarity between classes", "sim", "full")
    words = "Which wrong class a network leans to, by the class of the image: its softmax over the wrong classes alone."
    cka = cka_table(comparison)
    return (
        bullets(similarity_findings(rows))
        + to_html(similarity_table(rows))
        + paragraph(words)
        + heatmaps
        + ("" if cka is None else to_html(cka, "compact"))
    )


def _virtual(runs: Sequence[InspectedRun]) -> str:
    table = virtual_table(runs)
    if table is None:
        return ""
    figure = framed(virtual_mass_histogram(mass_columns(runs)), "Probability of the virtual classes", "v", "wide")
    return bullets(virtual_verdicts(runs)) + to_html(table) + figure


def _gradients(runs: Sequence[InspectedRun], names: Sequence[str]) -> str:
    body = ""
    for prefix, integrated, words in (
        (
            "g",
            False,
            "Which pixels change a logit: dark ones change it most, each picture by itself. Correct: the logit of the "
            "image's own class; incorrect and virtual: the sum of the other logits and of the virtual ones.",
        ),
        ("ig", True, "The same by integrated gradients, from a black image to this one."),
    ):
        grid = gradient_grid(runs, names, integrated=integrated)
        if grid is not None:
            figure = input_gradient_grid(grid.images, grid.maps, captions=grid.captions)
            body += paragraph(words) + framed(figure, "Input gradients of test images", prefix, "full")
    table = overlap_table(runs)
    return body + ("" if table is None else to_html(table, "compact"))
