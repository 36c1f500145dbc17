"""``python -m benchmarks networks [NAME ...]``: images/s of each CIFAR network in training, against its bare step.

A row is one network in one precision, eager or compiled: images/s of our training loop (``Trainer.train``, data
included), images/s of forward, backward and optimizer step of the same network on one resident batch, and their ratio.
After each epoch of the loop the bare step has its turn, so that drift of the machine hits both; the first round, in
which memory is touched and code compiled, is left out, and medians over the others are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

import torch
from accelerate import Accelerator

from benchmarks.cifar import CLASSES, batches, network, random_batch, random_images, trainer
from benchmarks.timing import timed
from vsmooth import VirtualSmoothing, virtual_smoothing_loss
from vsmooth.experiments.environment import describe_environment
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Standard
from vsmooth.models import ARCHITECTURES
from vsmooth.train import Optimization, Precision, make_accelerator

CIFAR = [name for name, architecture in ARCHITECTURES.items() if architecture.image_shape == (3, 32, 32)]
ALPHA = 0.3
BAR = 0.95


@dataclass(frozen=True)
class Setting:
    """What one row measures."""

    network: str
    precision: Precision
    compiled: bool
    batch: int
    steps: int
    rounds: int


@dataclass(frozen=True)
class Speeds:
    """Images/s of the loop and of the bare step, and the ratio of the two within a round; medians over rounds."""

    loop: float
    bare: float
    ratio: float


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 if the loop of a network is below its bar."""
    options = _parse(arguments)
    accelerator = make_accelerator("fp32")
    about = describe_environment("as in each row", accelerator.device)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"Batches of {options.batch}, {options.steps} steps a round; medians of {options.rounds} rounds.\n")
    print(f"{'network':18} {'precision':9} {'mode':9} {'loop, images/s':>15} {'bare, images/s':>15} {'ratio':>7}")
    missed = 0
    for name, precision, mode in product(options.networks or CIFAR, options.precision, options.mode):
        setting = Setting(name, precision, mode == "compiled", options.batch, options.steps, options.rounds)
        speeds = measure_speeds(setting)
        holds = speeds.ratio >= BAR
        numbers = f"{speeds.loop:15,.1f} {speeds.bare:15,.1f} {speeds.ratio:6.3f}x"
        print(f"{name:18} {precision:9} {mode:9} {numbers}  {'ok' if holds else f'below {BAR}x'}", flush=True)
        missed += not holds
    print(f"\n{missed} of the bars missed" if missed else "\nall bars met")
    return 1 if missed else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks networks", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"of {', '.join(CIFAR)} (default all)")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--mode", nargs="+", choices=("eager", "compiled"), default=("eager", "compiled"))
    parser.add_argument("--batch", type=int, default=128, help="images in a batch (default 128)")
    parser.add_argument("--steps", type=int, default=8, help="steps of a round (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count (default 3)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.networks if name not in CIFAR]:
        parser.error(f"no CIFAR network: {', '.join(unknown)}; choose from {', '.join(CIFAR)}")
    if min(options.batch, options.steps, options.rounds) < 1:
        parser.error("--batch, --steps and --rounds must be at least 1")
    return options


def measure_speeds(setting: Setting) -> Speeds:
    """Train for one epoch a round, and time the bare step after each."""
    accelerator = make_accelerator(setting.precision, compile_model=setting.compiled)
    bare_seconds = _bare_round(setting, accelerator)
    training = trainer(
        Standard(LabelObjective(VirtualSmoothing(ALPHA)), CLASSES),
        network(setting.network, accelerator.device),
        batches(random_images(setting.batch * setting.steps), setting.batch, accelerator.device),
        accelerator,
        epochs=1 + setting.rounds,
        evaluate=lambda model: {"bare": setting.batch * setting.steps / bare_seconds()},
    )
    logs = training.train().history[1:]
    return Speeds(
        median(log.images_per_second for log in logs),
        median(log.validation["bare"] for log in logs),
        median(log.images_per_second / log.validation["bare"] for log in logs),
    )


def _bare_round(setting: Setting, accelerator: Accelerator) -> Callable[[], float]:
    """Seconds of ``steps`` forward and backward passes and optimizer steps of a network on one resident batch."""
    device = accelerator.device
    plain = network(setting.network, device).train()
    optimizer = Optimization(learning_rate=0.01).build(plain)
    model = torch.compile(plain) if setting.compiled else plain
    images, labels = random_batch(setting.batch, device)

    def step() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16"):
            loss = virtual_smoothing_loss(model(images), labels, CLASSES, ALPHA)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def steps() -> None:
        # Reading the last loss waits for an accelerator to be done.
        _ = [step() for _ in range(setting.steps)][-1].item()

    return lambda: timed(steps)
