"""`vsmooth inspect`: what the last layer of finished runs holds, as tables, sentences and figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.finished_runs import FinishedRuns
from vsmooth.cli.output import Output, progress_bar, show_table
from vsmooth.data import Dataset
from vsmooth.experiments.inspection.inspect_runs import LEAST_CLASSES, InspectOptions, inspect_runs, read_human
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
from vsmooth.report.render.table import Table

_WIDE = 4  # networks side by side in one figure


@dataclass(frozen=True)
class Inspect(FinishedRuns):
    """What the last layer holds: virtual classes, similarity between classes, the plane of three, input gradients.

    Example: vsmooth inspect runs/compare --human cifar10h-counts.npy --out runs/compare/inspection

    Needs the runs' images. It writes features, gradients and inspection.json in each run's folder, which the page of
    `vsmooth report` then shows. Runs of one seed are compared with its one-hot run.
    """

    classes: tuple[str, ...] = ()
    """three classes for the plane, by name or number; otherwise the two that one-hot confuses most and one that it
    does not"""
    virtual_templates: bool = False
    """also draw the templates of the virtual classes on the plane"""
    human: Path | None = None
    """an npy of human counts or probabilities, (test images, classes), in the order of the test split"""
    images: int | None = None
    """number of test images, evenly spaced; None: all"""
    samples: int = 8
    """number of test images whose input gradients are shown"""
    integrated: bool = False
    """also compute integrated gradients (needs captum)"""
    resamples: int = 1000
    """number of bootstrap resamples of the test images"""

    def run(self, console: Console, typed: str) -> None:
        comparison, options = self.gather(), inspect_options(self)
        inspect(self, options, comparison, self.load_images(comparison, console), console)


def inspect_options(command: Inspect) -> InspectOptions:
    """What is asked of every run; ``ValueError`` for values that cannot be."""
    return InspectOptions(
        classes=command.classes,
        human=None if command.human is None else read_human(command.human),
        images=command.images,
        samples=command.samples,
        integrated=command.integrated,
        resamples=command.resamples,
    )


def inspect(
    command: Inspect, options: InspectOptions, comparison: Comparison, dataset: Dataset, console: Console
) -> None:
    """Write the records of the runs, print what they say, and draw it."""
    with progress_bar(console, "inspecting") as advance:
        inspect_runs(comparison, dataset, options, advance)
    runs = inspected_runs(comparison)
    output = Output(command.out)
    tables = _show_virtual(runs, output, console)
    tables |= _show_similarity(runs, dataset.classes, output, console)
    _draw_plane(runs, dataset.classes, command.virtual_templates, output, console)
    tables |= _show_gradients(runs, dataset.classes, output, console)
    if (table := cka_table(comparison)) is not None:
        tables["CKA between runs"] = table
        show_table("CKA between runs", table, console)
    output.tables("inspection", tables)
    output.finish(console)


def _show_virtual(runs: tuple[InspectedRun, ...], output: Output, console: Console) -> dict[str, Table]:
    table, title = virtual_table(runs), "Virtual classes"
    if table is None:
        return {}
    show_table(title, table, console)
    for sentence in virtual_verdicts(runs):
        console.print(sentence, markup=False, highlight=False)
    output.figure("virtual-mass", partial(virtual_mass_histogram, mass_columns(runs)))
    return {title: table}


def _show_similarity(
    runs: tuple[InspectedRun, ...], names: tuple[str, ...], output: Output, console: Console
) -> dict[str, Table]:
    rows, title = similarity_rows(runs), "Similarity between classes"
    if not rows:
        if len(names) < LEAST_CLASSES:
            say(console, f"\nSimilarity and the plane need three classes; here are {len(names)}", style="yellow")
        return {}
    table = similarity_table(rows)
    show_table(title, table, console)
    for sentence in similarity_findings(rows):
        console.print(sentence, markup=False, highlight=False)
    matrices = similarity_matrices(runs)
    chosen = {name: matrices[name] for name in list(matrices)[:_WIDE]}
    output.figure("class-similarity", partial(similarity_heatmaps, chosen, names))
    return {title: table}


def _draw_plane(
    runs: tuple[InspectedRun, ...], names: tuple[str, ...], virtual: bool, output: Output, console: Console
) -> None:
    columns = plane_columns(runs, virtual=virtual)
    if not columns:
        return
    three = [names[index] for index in runs[0].record.classes]
    say(console, f"\nThe plane goes through the templates of {', '.join(three[:2])} and {three[2]}")
    output.figure("plane", partial(plane_figure, columns[:_WIDE], three))


def _show_gradients(
    runs: tuple[InspectedRun, ...], names: tuple[str, ...], output: Output, console: Console
) -> dict[str, Table]:
    for name, integrated in (("input-gradients", False), ("integrated-gradients", True)):
        grid = gradient_grid(runs, names, integrated=integrated)
        if grid is not None:
            output.figure(name, partial(input_gradient_grid, grid.images, grid.maps, captions=grid.captions))
    table, title = overlap_table(runs), "Overlap of the input gradients"
    if table is None:
        return {}
    show_table(title, table, console)
    return {title: table}
