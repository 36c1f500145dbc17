"""Section of the page on accuracy under attack; empty where no run was attacked."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.records.comparison import Comparison
from vsmooth.report.render.html import escaped, framed, paragraph, section, side_by_side
from vsmooth.report.render.table import to_html
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

SIDE_BY_SIDE = 4


def robust_sections(comparison: Comparison) -> str:
    """What `vsmooth attack` left, a section for each threat model and number of images."""
    questions = attacked_questions(comparison)
    return "".join(section(robust_title(runs), _body(runs, f"ra{i}")) for i, runs in enumerate(questions))


def _body(runs: Sequence[AttackedRun], prefix: str) -> str:
    words = (
        "How many test images a network still gets right when an attacker who knows it changes each of them a little. "
        "The headline is what no attack broke."
    )
    flattery = "".join(map(paragraph, flattered(runs)))
    return paragraph(words) + to_html(robust_table(runs)) + flattery + _sanity(runs, prefix) + _settings(runs)


def _sanity(runs: Sequence[AttackedRun], prefix: str) -> str:
    table = sanity_table(runs)
    found = [(sentence, "fails") for sentence in suspicions(runs)]
    if good := unsuspicious(runs):
        found.append((good, ""))
    items = "".join(f'<li class="{kind}">{escaped(text)}</li>' if kind else f"<li>{escaped(text)}</li>"
                    for text, kind in found)
    verdicts = f'<ul class="findings">{items}</ul>' if items else ""
    if table is None:
        return verdicts
    words = "Can these attacks be trusted? A network whose gradients mislead looks robust to attacks that follow them."
    return paragraph(words) + verdicts + to_html(table, "compact") + _figures(runs, prefix)


def _figures(runs: Sequence[AttackedRun], prefix: str) -> str:
    panels = []
    if curves := epsilon_curves(runs):
        figure = accuracy_against_epsilon(curves, epsilon_label(runs), STILL_RIGHT)
        panels.append(framed(figure, "Accuracy under attack by epsilon", f"{prefix}e"))
    if curves := step_curves(runs):
        figure = accuracy_against_steps(curves, STILL_RIGHT)
        panels.append(framed(figure, "Accuracy under attack by steps", f"{prefix}s"))
    body = side_by_side(panels, "340px") if panels else ""
    if surfaces := loss_surfaces(runs)[:SIDE_BY_SIDE]:
        width = "full" if len(surfaces) > 2 else "wide"
        body += framed(loss_surface_figure(surfaces), "Loss around an image", f"{prefix}l", width)
    return body


def _settings(runs: Sequence[AttackedRun]) -> str:
    tables = "".join(to_html(settings_table(run), "compact") for run in runs)
    return f"<details><summary>Every attack and its settings</summary>{tables}</details>"
