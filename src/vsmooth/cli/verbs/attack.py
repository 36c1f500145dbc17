"""`vsmooth attack`: accuracy of finished runs under attack, as tables, sentences and figures."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from vsmooth.attacks.threat import ThreatModel
from vsmooth.cli.display import SECONDS_BETWEEN_LINES, say
from vsmooth.cli.finished_runs import FinishedRuns
from vsmooth.cli.method_options import parse_radius
from vsmooth.cli.output import finish
from vsmooth.data import Dataset
from vsmooth.evaluate.robust.columns import NEED_VIRTUAL, Budget, Family
from vsmooth.evaluate.robust.evaluation import OnProgress
from vsmooth.experiments.inspection.gradient_maps import spread_over_classes
from vsmooth.experiments.results import num_virtual_of
from vsmooth.experiments.robust.attack import load_test_images, run_attack
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.robust.plan import PlannedAttack, plan_attack
from vsmooth.experiments.robust.verify import verify_attack
from vsmooth.experiments.run import read_spec
from vsmooth.records.comparison import Comparison
from vsmooth.records.robust import ADVERSARIAL_FILE, ROBUST_FILE, Adversarial, RobustRecord
from vsmooth.report.render.markdown import ReportFolder
from vsmooth.report.render.terminal import print_sections
from vsmooth.report.robust.attacked import AttackedRun, attacked_runs
from vsmooth.report.robust.figures import adversarial_grid
from vsmooth.report.robust.sections import question_section
from vsmooth.report.section import Figure, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_EXAMPLES = 8  # images of the grid
_READ_BY_VERIFY = {"runs", "verify", "data", "skip_broken"}


@dataclass(frozen=True)
class Attack(FinishedRuns):
    """Accuracy under attack: the columns of the paper, and the worst case over all attacks.

    Example: vsmooth attack runs/compare --epsilon 8/255 --images 500 --out runs/compare/robust

    Needs the runs' images, time, and `pip install "vsmooth[robust]"` for AutoAttack. A network decides by the
    argmax over its K real logits, so these are the whole white-box target. Each run's folder keeps the numbers, which
    the page of `vsmooth report` then shows, and the adversarial images. Ctrl-C stops; the same command resumes.
    """

    epsilon: str = "8/255"
    """radius of the ball, for images in [0, 1]: a fraction or a number"""
    norm: Literal["linf", "l2"] = "linf"
    """linf: no channel of a pixel changes by more than epsilon; l2: Euclidean length of the change"""
    images: int | Literal["all"] = 500
    """number of test images, evenly spaced; all: the whole test split"""
    attacks: tuple[Family, ...] = ()
    """pgd cw aa aa+ multi-target lambda-sweep transfer; all that apply unless given"""
    columns: Literal["all", "standing"] = "all"
    """all: each attack is run on all images, as in the paper; standing: only on those that no attack before it fooled
    (faster)"""
    step_size: float | None = None
    """step size of PGD-20 and CW-20, for images in [0, 1]; None: epsilon / 4"""
    restarts: int = 2
    """number of restarts of the multi-targeted PGD"""
    transfer_from: Path | None = None
    """run folder of another network, whose adversarial images are also tried"""
    checkpoint: Literal["last", "best"] = "last"
    """weights of a run that was trained under attack: of its last epoch, or of the best one on held-out images"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: first run the first attack of each column in bf16; images that stand are then attacked in fp32"""
    compile: bool = False
    """torch.compile the network that is attacked"""
    batch_size: int = 128
    """number of images attacked at once; halved when memory runs out"""
    seed: int = 0
    """seed of every random start and of AutoAttack"""
    sanity: bool = True
    """also check whether the attacks can be trusted: more steps, larger epsilon, gradients, loss surface"""
    sanity_images: int = 100
    """number of images for these checks"""
    verify: Path | None = None
    """evaluate saved adversarial images again on the run that they belong to, and stop; combines with --data and
    --skip-broken only"""

    def run(self, console: Console, typed: str) -> None:
        comparison = self.gather()
        if self.verify is not None:
            check_verify(self, comparison)
            verify(self.verify, comparison, self.load_images(comparison, console), console)
            return
        options = attack_options(self)  # before images are loaded
        attack(self, options, comparison, self.load_images(comparison, console), console)


def attack_options(command: Attack) -> AttackOptions:
    """What is asked of every run; ``ValueError`` for values that cannot be."""
    if command.sanity_images < 1:
        raise ValueError(f"--sanity-images must be at least 1, got {command.sanity_images}; --no-sanity leaves it out")
    return AttackOptions(
        threat=ThreatModel(command.norm, parse_radius(command.epsilon)),
        images=None if command.images == "all" else command.images,
        attacks=command.attacks,
        on="right" if command.columns == "all" else "standing",
        budget=Budget(step_size=command.step_size, restarts=command.restarts),
        batch_size=command.batch_size,
        seed=command.seed,
        precision=command.precision,
        compile=command.compile,
        sanity_images=command.sanity_images if command.sanity else 0,
        transfer_from=command.transfer_from,
        checkpoint=command.checkpoint,
    )


def attack(command: Attack, options: AttackOptions, comparison: Comparison, dataset: Dataset, console: Console) -> None:
    """Attack every run, print what stands, draw it, and say where the adversarial images are."""
    options = _within(options, len(dataset.test))
    records = {}
    for run in comparison.runs:
        name, folder = f"{run.name}, seed {run.seed}", Path(run.folder)
        plan = _applicable(name, plan_attack(folder, options), dataset, console)
        if plan is None:
            continue
        with _progress(console, name) as advance:
            record = _attack_one(name, plan, dataset, advance)
        records[run.folder] = plan.place(dataset), record
    if not records:
        raise ValueError(f"nothing is left to attack with: {', '.join(options.families)} does not apply to these runs")
    if console.quiet:  # of several processes only one tells and draws
        return
    runs = attacked_runs(comparison, records)
    found, left = question_section(runs), ReportFolder(command.out)
    print_sections((found,), console)
    left.write("robust", (found, _examples(runs, dataset)))
    finish(left, console)
    _say_images(command, runs, console)


def check_verify(command: Attack, comparison: Comparison) -> None:
    """``ValueError`` for more than one run, and for options that ``verify`` would not read."""
    if len(comparison.runs) > 1:
        raise ValueError("--verify judges one file on one run: vsmooth attack RUN --verify FILE")
    unread = [
        ("--no-" if getattr(command, field.name) is False else "--") + field.name.replace("_", "-")
        for field in fields(command)
        if field.name not in _READ_BY_VERIFY and getattr(command, field.name) != field.default
    ]
    if unread:
        raise ValueError(f"--verify takes the attack from the record beside the file: leave out {', '.join(unread)}")


def verify(file: Path, comparison: Comparison, dataset: Dataset, console: Console) -> None:
    """Judge saved adversarial images again; ``ValueError`` where they are not what their record says."""
    if file.is_dir() or file.name == ROBUST_FILE:
        file = (file if file.is_dir() else file.parent) / ADVERSARIAL_FILE
    found = verify_attack(Path(comparison.runs[0].folder), dataset, file)
    clean, standing, expected = (
        f"{share.count:,} ({100 * share.accuracy:.1f} %)" for share in (found.clean, found.standing, found.expected)
    )
    say(console, f"{file}")
    say(console, f"  images               {found.images:,}; right when clean {clean}")
    say(console, f"  still right          {standing}; the record says {expected}")
    say(console, f"  outside the ball     {found.outside:,}; farthest {found.farthest:.6g}")
    say(console, f"  not fooling          {found.not_fooling:,}; decided by rounding {found.ties:,}")
    if found.problems:
        raise ValueError(f"{file} is not what its record says: {'; '.join(found.problems)}")
    say(console, "images, decisions, clean accuracy and headline are as the record says", style="green")


def _within(options: AttackOptions, total: int) -> AttackOptions:
    return options if options.images is None or options.images < total else replace(options, images=None)


def _applicable(name: str, plan: PlannedAttack, dataset: Dataset, console: Console) -> PlannedAttack | None:
    """The plan without a transfer from the run to itself; None where nothing is left for it. Both are said."""
    own: PlannedAttack | None = plan
    if plan.transfers_from_itself:
        own = plan.without_transfer()
        say(console, f"{name}: images are transferred from this run, not to it", style="yellow")
    virtual = num_virtual_of(read_spec(plan.folder), dataset.num_classes)
    families = () if own is None else own.options.families
    if families and not virtual and NEED_VIRTUAL.issuperset(families):
        say(console, f"{name}: left out, it has no virtual classes for {', '.join(families)}", style="yellow")
        return None
    return own


def _attack_one(name: str, plan: PlannedAttack, dataset: Dataset, advance: OnProgress) -> RobustRecord:
    try:
        return run_attack(plan, dataset, advance)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "stopped; finished batches are kept, and the same command goes on with the one that was cut off"
        ) from None


@contextmanager
def _progress(console: Console, name: str) -> Iterator[OnProgress]:
    """A bar on a terminal, a line a minute elsewhere: the attack, images done, and how many still stand."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    survivors = TextColumn("{task.fields[standing]} still stand")
    line_at = time.monotonic()
    with Progress(*columns, survivors, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(name, total=None, standing="all")
        shown = ""

        def advance(column: str, attack: str, done: int, total: int, standing: int) -> None:
            nonlocal shown, line_at
            what = f"{name}: {column}" if attack == column else f"{name}: {column}, {attack}"
            if what != shown:
                progress.reset(task, description=what, total=total, standing=standing)
                shown = what
            progress.update(task, completed=done, total=total, standing=standing)
            if not console.is_terminal and time.monotonic() - line_at >= SECONDS_BETWEEN_LINES:
                line_at = time.monotonic()
                say(console, f"{what}: {done:,} of {total:,} images, {standing:,} still stand")

        yield advance


def _examples(runs: Sequence[AttackedRun], dataset: Dataset) -> Section:
    """Images that the attacks broke, of each run that has any."""
    figures = []
    for run in runs:
        saved = Adversarial.load(run.folder / ADVERSARIAL_FILE)
        if len(_broken(saved)):
            slug = re.sub(r"[^a-z0-9.]+", "-", run.name.lower())
            draw = partial(_grid, saved, dataset)
            figures.append(Figure(f"adversarial-{slug}", f"Adversarial images of {run.name}", draw, "full"))
    return Section("Adversarial images", *figures)


def _broken(saved: Adversarial) -> Tensor:
    """Places of the images that are right when clean and wrong when attacked."""
    right = saved.clean_decisions == saved.labels
    return (right & (saved.decisions != saved.labels)).nonzero().flatten()


def _grid(saved: Adversarial, dataset: Dataset) -> Drawing:
    broken = _broken(saved)
    chosen = broken[spread_over_classes(saved.labels[broken], min(_EXAMPLES, len(broken)))]
    clean, _ = load_test_images(dataset, saved.indices[chosen])
    right, wrong = (
        [dataset.classes[index] for index in decisions[chosen].tolist()]
        for decisions in (saved.clean_decisions, saved.decisions)
    )
    return adversarial_grid(clean.numpy(), saved.images[chosen].numpy(), right=right, wrong=wrong)


def _say_images(command: Attack, runs: Sequence[AttackedRun], console: Console) -> None:
    say(console, "\nAdversarial images, and the command that judges them again:")
    data = [] if command.data is None else ["--data", command.data]
    data += ["--skip-broken"] if command.skip_broken else []
    for run in runs:
        file = run.folder / ADVERSARIAL_FILE
        words = ["vsmooth", "attack", str(run.folder.parent.parent), "--verify", str(file), *data]
        say(console, f"{run.name}: {shlex.join(words)}")
