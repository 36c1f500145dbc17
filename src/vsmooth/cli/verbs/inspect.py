"""`vsmooth inspect`: what the last layer of finished runs holds, as tables, sentences and figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.finished_runs import FinishedRuns
from vsmooth.cli.output import finish, progress_bar
from vsmooth.data import Dataset
from vsmooth.experiments.inspection.inspect_runs import LEAST_CLASSES, InspectOptions, inspect_runs, read_human
from vsmooth.records.comparison import Comparison
from vsmooth.report.inspection.sections import sections
from vsmooth.report.render.markdown import ReportFolder
from vsmooth.report.render.terminal import print_sections

POINTS = 500  # of a class on a panel of the plane


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
    named = replace(comparison, classes=dataset.classes)
    found = sections(named, points=POINTS, virtual=command.virtual_templates)
    print_sections(found, console)
    if dataset.num_classes < LEAST_CLASSES:
        words = f"\nSimilarity and the plane need three classes; here are {dataset.num_classes}"
        say(console, words, style="yellow")
    folder = ReportFolder(command.out)
    folder.write("inspection", found)
    finish(folder, console)
