"""`--dry-run`: what a training would be, in words and one small picture."""

from __future__ import annotations

from rich.console import Console

from vsmooth.cli.display import count_of, say
from vsmooth.cli.plot import draw_curve
from vsmooth.data import Dataset
from vsmooth.experiments.compare import ComparePlan, check_distinct
from vsmooth.experiments.dry_run import DryRun, dry_run
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.distill import DistillPlan
from vsmooth.losses import Candidates
from vsmooth.train import Execution

_NOTHING_DONE = "dry run: no training was completed and nothing was written; leave out --dry-run to train"


def dry_train(spec: RunSpec, dataset: Dataset, execution: Execution, console: Console) -> None:
    """One run."""
    print_dry_run(dry_run(spec, dataset, execution), spec, console)
    say(console, _NOTHING_DONE)


def dry_compare(plan: ComparePlan, dataset: Dataset, execution: Execution, console: Console) -> None:
    """The run with the most outputs, and how many runs there are."""
    check_distinct(plan, dataset.num_classes)
    spec = _widest(plan, dataset.num_classes)
    found = dry_run(spec, dataset, execution)
    print_dry_run(found, spec, console)
    most = "at most " if plan.most_runs > len(plan.objectives) * len(plan.seeds) else ""
    labels, seeds = count_of(len(plan.objectives), "label"), count_of(len(plan.seeds), "seed")
    runs = f"{labels} x {seeds}: {most}{count_of(plan.most_runs, 'run')}"
    seconds = duration_text(found.seconds * plan.most_runs)
    _line(console, "comparison", f"{runs}, {most or 'about '}{seconds} if none is finished yet")
    say(console, _NOTHING_DONE)


def dry_distill(plan: DistillPlan, dataset: Dataset, execution: Execution, console: Console) -> None:
    """The student alone, then with each teacher, and how many runs there are."""
    plan.check_fits(dataset.num_classes)
    spec = plan.spec(None, plan.seeds[0])
    found = dry_run(spec, dataset, execution)
    print_dry_run(found, spec, console)
    seconds = found.seconds
    for source in plan.teachers:
        spec = plan.spec(source, plan.seeds[0])
        found = dry_run(spec, dataset, execution, source)
        _print_taught(found, source.record.name, spec, console)
        seconds += found.seconds
    seeds_text = count_of(len(plan.seeds), "seed")
    runs = f"(plain + {len(plan.teachers)} taught) x {seeds_text}: {count_of(plan.num_runs, 'run')}"
    total = duration_text(len(plan.seeds) * seconds)
    _line(console, "distillation", f"{runs}, about {total} if none is finished yet")
    say(console, _NOTHING_DONE)


def print_dry_run(found: DryRun, spec: RunSpec, console: Console) -> None:
    """What one run would be."""
    virtual = f", {found.virtual_parameters:,} of them virtual (in training only)" if found.virtual_parameters else ""
    _line(console, "network", f"{spec.model}: {found.parameters:,} parameters{virtual}")
    _line(
        console,
        "training",
        f"{count_of(found.train_images, 'image')}, {found.validation_images:,} held out; "
        f"{count_of(found.steps_per_epoch, 'step')} of {spec.batch_size} per epoch, {count_of(spec.epochs, 'epoch')}, "
        f"{count_of(found.optimizer_steps, 'optimizer step')}",
    )
    _print_schedule(found, spec, console)
    several = f", {found.processes} processes" if found.processes > 1 else ""
    _line(console, "timed", f"{_speed(found, spec)}, {found.device}{several}, {spec.precision}")
    if found.waits_for_data:
        remedy = "longer than the training itself: raise --workers or use more cores"
        _line(console, "data", f"decoding takes {found.decoding_seconds:.2f} s per step, {remedy}")
    _line(
        console,
        "one run",
        f"about {duration_text(found.seconds)}, {duration_text(found.evaluation_seconds)} of it for evaluation",
    )
    if found.memory_bytes is not None:
        _line(console, "memory", f"{found.memory_bytes / 2**30:.2f} GiB, {found.memory}")


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


def _widest(plan: ComparePlan, num_classes: int) -> RunSpec:
    """The run with the most outputs: none of the others takes longer."""
    objectives = (x.template if isinstance(x, Candidates) else x for x in plan.objectives)
    widest = max(objectives, key=lambda objective: objective.num_virtual(num_classes))
    return plan.spec(widest, plan.seeds[0])


def _print_taught(found: DryRun, teacher: str, spec: RunSpec, console: Console) -> None:
    share = found.teacher_seconds * found.timed_steps / found.timed_seconds
    views = None if found.kept_views is None else count_of(found.kept_views, "view")
    kept = "" if views is None else f" with its logits kept for {views} of each image"
    _line(
        console,
        "taught",
        f"by {teacher}: {_speed(found, spec)}, {100 * share:.0f} % of the time the teacher's; "
        f"one run about {duration_text(found.seconds)}{kept}",
    )


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
