"""Sections on what the last layer holds: the plane, class similarity, virtual classes, input gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from vsmooth.records.comparison import Comparison
from vsmooth.report.drawing.canvas import MOST_PANELS
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
from vsmooth.report.section import Bullets, Caption, Figure, Part, Section, Text

PAGE_POINTS = 150  # of a class on a panel: each is an element of the page


def sections(comparison: Comparison, *, points: int = PAGE_POINTS, virtual: bool = False) -> tuple[Section, ...]:
    """What `vsmooth inspect` left; sections of which nothing is known are left out.

    points: of a class on a panel of the plane. virtual: also the virtual templates there.
    """
    runs, names = inspected_runs(comparison), comparison.classes
    found = (
        _plane(runs, names, points, virtual),
        _similarity(runs, names),
        _kernel_alignment(comparison),
        _virtual(runs),
        _gradients(runs, names),
    )
    return tuple(section for section in found if section.parts)


def _plane(runs: Sequence[InspectedRun], names: Sequence[str], points: int, virtual: bool) -> Section:
    title = "Three classes on a plane"
    columns = plane_columns(runs, virtual=virtual, each=points)[:MOST_PANELS]
    if not columns:
        return Section(title)
    three = [names[index] for index in runs[0].record.classes]
    words = f"The plane goes through the templates of {three[0]}, {three[1]} and {three[2]}, the classifier's rows."
    caption = (
        "What the classifier sees of these classes: activations of the layer before it. Where classes that are alike "
        "lie near each other, the network has kept how alike they are; an equilateral triangle has lost it. Below each "
        "name: how much of the spread of the three class means lies in the plane."
    )
    figure = Figure("plane", "Activations of three classes", partial(plane_figure, columns, three), "full")
    return Section(title, Text(words), Caption(caption), figure)


def _similarity(runs: Sequence[InspectedRun], names: Sequence[str]) -> Section:
    rows, title = similarity_rows(runs), "Which similarity the labels keep"
    if not rows:
        return Section(title)
    matrices = similarity_matrices(runs)
    shown = {name: matrices[name] for name in list(matrices)[:MOST_PANELS]}
    draw = partial(similarity_heatmaps, shown, names)
    caption = (
        "Which wrong class a network leans to, by the class of the image: its softmax over the wrong classes alone."
    )
    return Section(
        title,
        Bullets(similarity_findings(rows)),
        similarity_table(rows),
        Caption(caption),
        Figure("class-similarity", "Similarity between classes", draw, "full"),
    )


def _kernel_alignment(comparison: Comparison) -> Section:
    table, title = cka_table(comparison), "CKA between runs"
    return Section(title) if table is None else Section(title, table)


def _virtual(runs: Sequence[InspectedRun]) -> Section:
    table, title = virtual_table(runs), "What the virtual classes do"
    if table is None:
        return Section(title)
    draw = partial(virtual_mass_histogram, mass_columns(runs))
    figure = Figure("virtual-mass", "Probability of the virtual classes", draw, "wide")
    return Section(title, Bullets(virtual_verdicts(runs)), table, figure)


def _gradients(runs: Sequence[InspectedRun], names: Sequence[str]) -> Section:
    table = overlap_table(runs)
    parts = (*_gradient_figures(runs, names), *(() if table is None else (table,)))
    return Section("Where the classes look", *parts)


def _gradient_figures(runs: Sequence[InspectedRun], names: Sequence[str]) -> Iterator[Part]:
    for name, integrated, words in (
        (
            "input-gradients",
            False,
            "Which pixels change a logit: dark ones change it most, each picture by itself. Correct: the logit of the "
            "image's own class; incorrect and virtual: the sum of the other logits and of the virtual ones.",
        ),
        ("integrated-gradients", True, "The same by integrated gradients, from a black image to this one."),
    ):
        grid = gradient_grid(runs, names, integrated=integrated)
        if grid is not None:
            draw = partial(input_gradient_grid, grid.images, grid.maps, captions=grid.captions)
            yield Caption(words)
            yield Figure(name, "Input gradients of test images", draw, "full")
