"""``python -m benchmarks attacks``: our PGD against torchattacks', AutoAttack through the bridge against the package.

All attack one network, on the same images: that of a finished run (``--run`` and ``--data``), or a fresh one trained
for a few steps on noisy patterns. Only images that are right when clean are taken: torchattacks would attack the others
too, we and the package would not. What is timed of ours is the search on the equivalent inference network and the last
word of the network itself; theirs runs on the network as it is, contiguous.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cifar import CLASSES, CPU, network
from benchmarks.timing import Row, timed
from vsmooth.attacks import PGD, Target, ThreatModel
from vsmooth.attacks.autoattack import standard_autoattack
from vsmooth.data import load_dataset
from vsmooth.evaluate import Evaluation, attack_target, evaluate_robust
from vsmooth.evaluate.robust.cascade import Column
from vsmooth.evaluate.robust.targets import Precision
from vsmooth.experiments.environment import describe_environment
from vsmooth.experiments.robust.attack import load_test_images
from vsmooth.experiments.run_paths import open_run
from vsmooth.experiments.shift import evenly_spaced

SEED = 0


@dataclass(frozen=True)
class Setting:
    """A network in eval mode, the images and labels it is attacked on, and how."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    threat: ThreatModel
    batch: int
    steps: int
    queries: int
    rounds: int

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels, `batch` at a time."""
        return zip(self.images.split(self.batch), self.labels.split(self.batch), strict=True)

    def right(self, images: Tensor) -> Tensor:
        """(N,) bool: what the network itself still classifies correctly."""
        with torch.no_grad():
            logits = torch.cat([self.model(part) for part in images.split(self.batch)])
        return logits.argmax(1) == self.labels


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if a bar was missed."""
    options = _parse(arguments)
    print(", ".join(f"{name} {value}" for name, value in describe_environment("as in each row", CPU).items()))
    model, images, labels = _run(options) if options.run else _fresh(options)
    # As most people have it: the layout that this library prefers is part of what is measured.
    model.to(memory_format=torch.contiguous_format)
    setting = Setting(
        model.eval(),
        images,
        labels,
        int(_logits(model, images[:1]).shape[1]),
        ThreatModel(epsilon=options.epsilon / 255),
        *(getattr(options, name) for name in ("batch", "steps", "queries", "rounds")),
    )
    right = setting.right(images)
    setting = replace(setting, images=images[right], labels=labels[right])
    about = f"{options.run or options.network}: the {int(right.sum())} of {len(images)} images that are right"
    print(f"{about}; epsilon {options.epsilon:g}/255,")
    print(f"batches of {options.batch}, medians of {options.rounds} rounds, {torch.get_num_threads()} threads.\n")
    missed = 0
    for part, package, rows in (("pgd", "torchattacks", _pgd), ("autoattack", "pyautoattack", _autoattack)):
        if part not in options.only:
            continue
        if find_spec(package) is None:
            print(f"no rows for {part}: pip install {package}")
            continue
        for row in rows(setting):
            print(row, flush=True)
            missed += not row.holds
    print(f"\n{missed} of the bars missed" if missed else "\nall bars met")
    return 1 if missed else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks attacks", description=__doc__)
    parser.add_argument("--network", default="resnet18", help="trained here for --train-steps (default resnet18)")
    parser.add_argument("--train-steps", type=int, default=40, help="of 64 images (default 40)")
    parser.add_argument("--run", type=Path, help="folder of a finished run, in place of --network; needs --data")
    parser.add_argument("--data", help="data set of the run")
    parser.add_argument("--images", type=int, default=256, help="of the test split, evenly spaced (default 256)")
    parser.add_argument("--epsilon", type=float, default=2, help="in 255ths, so that some images stand (default 2)")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch, for all (default 64)")
    parser.add_argument("--steps", type=int, default=20, help="of PGD (default 20)")
    parser.add_argument("--queries", type=int, default=5000, help="of Square (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="each times everything once (default 3)")
    parser.add_argument("--only", nargs="+", choices=("pgd", "autoattack"), default=("pgd", "autoattack"))
    options = parser.parse_args(arguments)
    if bool(options.run) != bool(options.data):
        parser.error("--run and --data go together")
    if min(options.images, options.batch, options.steps, options.queries, options.rounds, options.train_steps) < 1:
        parser.error("all counts must be at least 1")
    return options


def _run(options: argparse.Namespace) -> tuple[nn.Module, Tensor, Tensor]:
    dataset = load_dataset(options.data)
    chosen = evenly_spaced(len(dataset.test), min(options.images, len(dataset.test)))
    return open_run(options.run, dataset), *load_test_images(dataset, chosen)


def _fresh(options: argparse.Namespace) -> tuple[nn.Module, Tensor, Tensor]:
    """A network that tells noisy patterns apart, most of them: some are near its borders."""
    torch.manual_seed(SEED)
    patterns = F.interpolate(torch.rand(CLASSES, 3, 4, 4), size=(32, 32), mode="bilinear")

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(0, CLASSES, (count,))
        contrast = torch.rand(count, 1, 1, 1) ** 2
        return (0.5 + contrast * (patterns[labels] - 0.5) + 0.1 * torch.randn(count, 3, 32, 32)).clamp(0, 1), labels

    model = network(options.network, virtual=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, 0.9, weight_decay=5e-4)
    for _ in range(options.train_steps):
        images, labels = draw(64)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()
        optimizer.step()
    return model, *draw(options.images)


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(images)


def _interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds over interleaved rounds, without a warm-up in each: a call is many passes by itself."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(timed(call))
    return {name: median(values) for name, values in seconds.items()}


def _pgd(setting: Setting) -> Iterator[Row]:
    import torchattacks

    step = setting.threat.epsilon / 4
    # As in the columns of `vsmooth attack`: an image that is fooled leaves. And, to compare a step with a step, not so.
    evaluating, to_the_end = (PGD("ce", steps=setting.steps, step_size=step, keep=keep) for keep in ("best", "last"))
    reference = torchattacks.PGD(setting.model, setting.threat.epsilon, step, setting.steps, random_start=False)
    plain = Target(setting.classes, setting.model, setting.model)

    def craft(attack: PGD, target: Target, images: Tensor, labels: Tensor) -> Tensor:
        known = torch.ones(len(images), dtype=torch.bool)
        return attack(target, images, labels, setting.threat, seed=SEED, right=known).images

    few = setting.images[:8]
    targets: dict[Precision, Target] = {
        precision: attack_target(setting.model, few, num_classes=setting.classes, precision=precision)
        for precision in ("fp32", "bf16")
    }

    def all_batches(name: str, call: Callable[[Tensor, Tensor], Tensor]) -> None:
        found[name] = torch.cat([call(images, labels) for images, labels in setting.batches()])

    found: dict[str, Tensor] = {}
    calls: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"theirs": reference}
    for precision, target in targets.items():
        calls[precision] = partial(craft, evaluating, target)
        calls[f"{precision}, all steps"] = partial(craft, to_the_end, target)
    for call in calls.values():
        call(*next(setting.batches()))  # kernels are made when a shape first comes
    times = _interleaved({name: partial(all_batches, name, call) for name, call in calls.items()}, setting.rounds)
    stands = {name: float(setting.right(images).float().mean()) for name, images in found.items()}
    name, against = f"PGD-{setting.steps}", f"torchattacks, fp32 ({times['theirs']:.1f} s)"
    for ours in (*targets, *(f"{precision}, all steps" for precision in targets)):
        bar = 0.75 if ours.startswith("fp32") else 0.45
        yield Row(f"{name}, {ours}", against, times[ours] / times["theirs"], bar)
    gap, both = abs(stands["fp32"] - stands["theirs"]), f"{stands['fp32']:.2%} and {stands['theirs']:.2%}"
    yield Row(f"{name}, fp32: robust accuracy", f"0.5 points apart ({both})", gap / 0.005, 1.0)
    # Our gradient is of the sum, theirs of the mean, which is the same to the last bit only for a power of two.
    count = 2 ** (min(setting.batch, len(setting.images)).bit_length() - 1)
    batch = setting.images[:count], setting.labels[:count]
    apart = float((craft(to_the_end, plain, *batch) - reference(*batch)).abs().max())
    yield Row(f"{name}, not folded: images", f"1e-5 apart ({apart:.1e})", apart / 1e-5, 1.0)


def _autoattack(setting: Setting) -> Iterator[Row]:
    from pyautoattack import AutoAttack

    official = AutoAttack(setting.model, eps=setting.threat.epsilon, seed=SEED, version="standard", device=CPU)
    official.square.n_queries = setting.queries
    count = min(official.fab.n_target_classes, setting.classes - 1)
    official.fab.n_target_classes = official.apgd_targeted.n_target_classes = count
    *white_box, square = standard_autoattack(setting.classes)
    column = Column("AA", "real", (*white_box, replace(square, queries=setting.queries)))
    verdicts: dict[str, Tensor] = {}

    def theirs() -> None:
        _, decisions = official.run_standard_evaluation(setting.images, setting.labels, batch_size=setting.batch)
        verdicts["theirs"] = decisions == setting.labels

    def ours() -> None:
        verdicts["ours"] = evaluate_robust(
            setting.model,
            setting.images,
            setting.labels,
            [column],
            setting.threat,
            num_classes=setting.classes,
            evaluation=Evaluation(batch_size=setting.batch, seed=SEED),
        ).stands

    times = _interleaved({"theirs": theirs, "ours": ours}, setting.rounds)
    stand = f"{int(verdicts['ours'].sum())} and {int(verdicts['theirs'].sum())} stand"
    against = f"the package on the network ({times['theirs']:.0f} s)"
    yield Row("AutoAttack, fp32", against, times["ours"] / times["theirs"], 0.75)
    equal = float((verdicts["ours"] == verdicts["theirs"]).float().mean())
    yield Row("AutoAttack: verdicts", f"share that is equal ({stand})", equal, 0.99, at_least=True)
