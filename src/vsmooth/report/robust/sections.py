"""Sections on accuracy under attack, one for each threat model and number of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from vsmooth.records.comparison import Comparison
from vsmooth.report.drawing.canvas import MOST_PANELS
from vsmooth.report.robust.attacked import (
    STILL_RIGHT,
    AttackedRun,
    attacked_questions,
    epsilon_curves,
    epsilon_label,
    loss_surfaces,
    step_curves,
)
from vsmooth.report.robust.figures import accuracy_against_epsilon, accuracy_against_steps, loss_surface_figure
from vsmooth.report.robust.tables import (
    flattered,
    robust_table,
    robust_title,
    sanity_table,
    settings_table,
    suspicions,
    unsuspicious,
)
from vsmooth.report.section import Bullets, Details, Figure, Panels, Part, Section, Text

_WIDTH = 340  # of a panel of curves, in pixels


def sections(comparison: Comparison) -> tuple[Section, ...]:
    """What `vsmooth attack` left; nothing where no run was attacked."""
    questions = enumerate(attacked_questions(comparison))
    return tuple(question_section(runs, f"-{place + 1}" if place else "") for place, runs in questions)


def question_section(runs: Sequence[AttackedRun], suffix: str = "") -> Section:
    """Of runs that were asked the same; `suffix` tells its figures from those of other questions."""
    words = (
        "How many test images a network still gets right when an attacker who knows it changes each of them a little. "
        "The headline is what no attack broke."
    )
    settings = tuple(Section(f"Attacks on {run.name}", settings_table(run)) for run in runs)
    return Section(
        robust_title(runs),
        Text(words),
        robust_table(runs),
        *map(Text, flattered(runs)),
        *_sanity(runs, suffix),
        Details("Every attack and its settings", settings),
    )


def _sanity(runs: Sequence[AttackedRun], suffix: str) -> Iterator[Section]:
    table, good = sanity_table(runs), unsuspicious(runs)
    verdicts = Bullets((good,) if good else (), suspicions(runs))
    parts: list[Part] = [verdicts] if verdicts.sentences or verdicts.warnings else []
    if table is not None:
        words = "A network whose gradients mislead looks robust to attacks that follow them."
        parts = [Text(words), *parts, table, *_figures(runs, suffix)]
    if parts:
        yield Section("Can the attacks be trusted?", *parts)


def _figures(runs: Sequence[AttackedRun], suffix: str) -> Iterator[Part]:
    panels = []
    if curves := epsilon_curves(runs):
        draw = partial(accuracy_against_epsilon, curves, epsilon_label(runs), STILL_RIGHT)
        panels.append(Figure(f"accuracy-against-epsilon{suffix}", "Accuracy under attack by epsilon", draw))
    if curves := step_curves(runs):
        draw = partial(accuracy_against_steps, curves, STILL_RIGHT)
        panels.append(Figure(f"accuracy-against-steps{suffix}", "Accuracy under attack by steps", draw))
    if panels:
        yield Panels(tuple(panels), _WIDTH)
    if surfaces := loss_surfaces(runs)[:MOST_PANELS]:
        draw = partial(loss_surface_figure, surfaces)
        yield Figure(f"loss-surface{suffix}", "Loss around an image", draw, "full" if len(surfaces) > 2 else "wide")
