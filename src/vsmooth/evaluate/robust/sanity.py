"""Checks on a few images for gradient masking: whether attacks fail because the network is robust."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsmooth.attacks import PGD, Attack, ThreatModel, input_gradient, make_aim
from vsmooth.evaluate.robust.cascade import Column
from vsmooth.evaluate.robust.evaluation import Evaluation, RobustResult, evaluate_robust
from vsmooth.evaluate.robust.parts import Parts
from vsmooth.evaluate.robust.targets import Targets
from vsmooth.records.sanity import LossGrid, SanityReport, SweepPoint
from vsmooth.records.standing import Standing

_WIDER = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # times epsilon
_GRID = 21  # points of each side of the loss surface, from -1 to 1 times epsilon


@dataclass(frozen=True)
class SanityChecks:
    """white_box: attacks besides margin PGD that may see the gradients. black_box: Square. steps: of margin PGD, from
    few to many. sweep_steps: of the same in wider balls, up to one in which every image could be made grey.
    """

    white_box: tuple[Attack, ...]
    black_box: tuple[Attack, ...]
    steps: tuple[int, ...] = (20, 100, 1000)
    sweep_steps: int = 100


def evaluate_sanity(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    checks: SanityChecks,
    *,
    num_classes: int,
    indices: Tensor | None = None,
    evaluation: Evaluation | None = None,
) -> SanityReport:
    """The checks of `SanityReport` on images (N, C, H, W) that are right when clean, on the K real logits in fp32.

    indices: the images' places in the test split, 0..N-1 if not given. The rest as for `evaluate_robust`, which does
    the work, and shares and resumes it. ValueError for an epsilon of 0, which has nothing to check.
    """
    if not threat.epsilon:
        raise ValueError("an epsilon of 0 is no attack: there is nothing to check")
    how = evaluation or Evaluation()
    targets = how.targets or Targets(model, images, num_classes=num_classes)
    whole = how.parts or Parts()

    def attacked(name: str, columns: Sequence[Column], within: ThreatModel) -> RobustResult:
        own = replace(how, precision="fp32", targets=targets, parts=whole.within(name))
        return evaluate_robust(model, images, labels, columns, within, num_classes=num_classes, evaluation=own)

    own = [Column(f"Sanity: {count} steps", "real", (_pgd(count),)) for count in checks.steps]
    seen = Column("Sanity: white box", "real", checks.white_box, "standing")
    # On what stands alone: whether it beats the others there is the question, and its queries are many.
    blind = Column("Sanity: Square", "real", checks.black_box, "standing")
    *by_steps, white, square = attacked("strength", (*own, seen, blind), threat).columns
    return SanityReport(
        images=len(images),
        steps=tuple(SweepPoint(at, _standing(found.stands)) for at, found in zip(checks.steps, by_steps, strict=True)),
        epsilons=_sweep(images, threat, checks.sweep_steps, attacked),
        white_box=_standing(white.stands),
        square=_standing(square.stands),
        square_broke=int((white.stands & ~square.stands).sum()),
        zero_gradient_share=_zero_gradients(targets, images, labels, how.batch_size),
        surface=_surface(targets, images[:1], labels[:1], threat, 0 if indices is None else int(indices[0]), how.seed),
    )


def _pgd(steps: int) -> PGD:
    return PGD("margin", steps=steps, random_start=True, keep="best")


def _standing(stands: Tensor) -> Standing:
    return Standing.of(int(stands.sum()), len(stands))


def _sweep(
    images: Tensor,
    threat: ThreatModel,
    steps: int,
    attacked: Callable[[str, Sequence[Column], ThreatModel], RobustResult],
) -> tuple[SweepPoint, ...]:
    """Wider and wider, until nothing stands or every image could be made grey, and all images therefore the same."""
    grey = (threat.high - threat.low) / 2 * (1.0 if threat.norm == "linf" else math.sqrt(images[0].numel()))
    points: list[SweepPoint] = []
    for factor in (*_WIDER, math.inf):  # inf: the ball in which grey lies, so that nothing can stand for a good reason
        epsilon = min(factor * threat.epsilon, max(grey, threat.epsilon))
        column = Column(f"Sanity: epsilon {epsilon:.3g}", "real", (_pgd(steps),))
        found = attacked(f"epsilon-{epsilon:.6g}", (column,), replace(threat, epsilon=epsilon))
        points.append(SweepPoint(epsilon, _standing(found.stands)))
        if (points[-1].standing.count == 0 and factor >= 1) or epsilon >= grey:
            break
    return tuple(points)


def _zero_gradients(targets: Targets, images: Tensor, labels: Tensor, batch_size: int) -> float:
    """Share of the images whose cross entropy has no slope at all, in any pixel."""
    pieces = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    slopes = (_slope(targets, part, theirs) for part, theirs in pieces)
    return sum(int((slope == 0).flatten(1).all(1).sum()) for slope in slopes) / len(images)


def _slope(targets: Targets, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the cross entropy over the K real logits."""
    target, images = targets("real"), images.float().to(targets.device)
    return input_gradient(target.craft, make_aim("ce", target, images, labels.to(targets.device)), images)[0]


def _surface(
    targets: Targets, image: Tensor, label: Tensor, threat: ThreatModel, index: int, seed: int
) -> LossGrid:
    target, side = targets("real"), torch.linspace(-1, 1, _GRID).tolist()
    image, label = image.float().to(targets.device), label.to(targets.device)
    slope = threat.ascent(_slope(targets, image, label))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    across = threat.ascent(noise.to(image))
    rows = []
    for along in side:
        steps = torch.tensor(side).to(image).reshape(-1, 1, 1, 1) * across
        points = (image + threat.epsilon * (along * slope + steps)).clamp(threat.low, threat.high)
        with torch.no_grad():
            logits = target.decide(points).double()
        rows.append(tuple(cross_entropy(logits, label.expand(len(points)), reduction="none").tolist()))
    return LossGrid(index, tuple(side), tuple(side), tuple(rows))
