"""A dry run in words and one small picture."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.plot import draw_curve
from vsmooth.experiments.compare import ComparePlan
from vsmooth.experiments.distill import DistillPlan
from vsmooth.experiments.dry_run import DryRun
from vsmooth.experiments.spec import RunSpec


def print_dry_run(found: DryRun, spec: RunSpec, console: Console) -> None:
    """What one run would be."""
    virtual = f", {found.virtual_parameters:,} of them virtual (in training only)" if found.virtual_parameters else ""
    _line(console, "network", f"{spec.model}: {found.parameters:,} parameters{virtual}")
    _line(
        console,
        "training",
        f"{found.train_images:,} images, {found.validation_images:,} held out; {found.steps_per_epoch:,} steps of "
        f"{spec.batch_size} an epoch, {spec.epochs} epochs, {found.optimizer_steps:,} optimizer steps",
    )
    _print_schedule(found, spec, console)
    several = f", {found.processes} processes" if found.processes > 1 else ""
    _line(console, "timed", f"{_speed(found, spec)}, {found.device}{several}, {spec.precision}")
    if found.waits_for_data:
        remedy = "longer than training: more --workers or cores help"
        _line(console, "data", f"decoding takes {found.decoding_seconds:.2f} s a step, {remedy}")
    _line(
        console,
        "one run",
        f"about {duration_text(found.seconds)}, {duration_text(found.evaluation_seconds)} of it for evaluation",
    )
    if found.memory_bytes is not None:
        _line(console, "memory", f"{found.memory_bytes / 2**30:.2f} GiB, {found.memory}")


def print_plan(found: DryRun, plan: ComparePlan, console: Console) -> None:
    """How many runs a comparison is, and how long all of them take."""
    most = "at most " if plan.most_runs > len(plan.labels) * len(plan.seeds) else ""
    _line(
        console,
        "comparison",
        f"{len(plan.labels)} labels x {len(plan.seeds)} seeds: {most}{plan.most_runs} runs, {most or 'about '}"
        f"{duration_text(found.seconds * plan.most_runs)} if none is finished yet",
    )


def print_taught(found: DryRun, teacher: str, spec: RunSpec, console: Console) -> None:
    """What one run is with a teacher."""
    share = found.teacher_seconds * found.timed_steps / found.timed_seconds
    kept = "" if found.kept_views is None else f" with its logits kept for {found.kept_views:,} views of each image"
    _line(
        console,
        "taught",
        f"by {teacher}: {_speed(found, spec)}, {100 * share:.0f} % of the time the teacher's; "
        f"one run about {duration_text(found.seconds)}{kept}",
    )


def print_distill_plan(found: Sequence[DryRun], plan: DistillPlan, console: Console) -> None:
    """How many students there are, and how long all of them take; ``found``: without a teacher, then with each."""
    seconds = len(plan.seeds) * sum(run.seconds for run in found)
    _line(
        console,
        "distillation",
        f"(plain + {len(plan.teachers)} taught) x {len(plan.seeds)} seeds: {plan.num_runs} runs, about "
        f"{duration_text(seconds)} if none is finished yet",
    )


def duration_text(seconds: float) -> str:
    """The two largest units: "3 d 4 h", "2 h 5 min", "7 min 30 s", "12 s"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if round(seconds) >= size)
    (large, size), (small, part) = units[first], units[first + 1]
    whole, rest = divmod(round(seconds / part), size // part)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def _print_schedule(found: DryRun, spec: RunSpec, console: Console) -> None:
    # On a linear scale the later steps of a step schedule would be one flat line.
    logarithmic = spec.optimization.schedule == "step"
    scale = ", logarithmic scale" if logarithmic else ""
    _line(console, "learning rate", f"{spec.optimization.optimizer}, {spec.optimization.schedule}{scale}")
    for line in draw_curve(found.learning_rates, "epoch 1", f"{spec.epochs}", logarithmic=logarithmic):
        say(console, f"  {line}")


def _speed(found: DryRun, spec: RunSpec) -> str:
    speed = found.timed_steps * spec.batch_size / found.timed_seconds
    return f"{found.timed_steps} steps in {found.timed_seconds:.2f} s ({speed:,.0f} images/s)"


def _line(console: Console, name: str, text: str) -> None:
    say(console, f"{name:14} {text}")
