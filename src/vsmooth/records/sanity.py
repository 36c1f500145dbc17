"""Signs that an attack failed rather than the network held: plain values, and what they mean in words."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.records.bounds import Count, NotNegative, Share
from vsmooth.records.standing import Standing

NOTABLE = 0.01  # of the images: so many may be accidents of a sound attack
FEWEST_ACCIDENTS = 3  # images that Square alone broke: fewer are accidents whatever the share
LEVEL = 0.05  # of the exact test of that share
STEP_GAIN = 0.02  # of the accuracy: what the last steps of an attack may still find
ALL_STEPS_GAIN = 0.05  # the same of the most steps over the fewest


@dataclass(frozen=True)
class SweepPoint:
    """What stands of the sanity images under one attack; `at`: its steps, or its epsilon in [0, 1] pixel units."""

    at: NotNegative
    standing: Standing


@dataclass(frozen=True)
class LossGrid:
    """Cross entropy in nats around the clean image at `index` of the test split.

    loss[a][b] at `along_gradient[a]` times epsilon along the sign of the gradient (its direction for L2), plus
    `along_random[b]` times epsilon along a random sign (direction).
    """

    index: Count
    along_gradient: tuple[float, ...]
    along_random: tuple[float, ...]
    loss: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        widths = [len(self.along_random)] * len(self.along_gradient)
        if len(widths) < 2 or len(self.along_random) < 2:
            raise ValueError("a loss surface needs two steps or more in each direction")
        if [len(row) for row in self.loss] != widths:
            raise ValueError(f"loss must be {len(widths)} rows of {len(self.along_random)}, as many as there are steps")


@dataclass(frozen=True)
class SanityReport:
    """Of `images` images that are right when clean, attacked on the K real logits.

    steps: margin PGD from a random start with ever more steps. epsilons: the same in ever wider balls, until nothing
    stands or the ball is so wide that an attack must succeed. white_box: what stands after the margin PGDs and the
    other white-box attacks; square: after Square on what those left. square_broke: images that only Square broke.
    zero_gradient_share: images where every pixel's gradient of the cross entropy is exactly 0.
    Source: Athalye, Carlini and Wagner (2018), Sec. 3.1; Carlini et al., On Evaluating Adversarial Robustness (2019).
    """

    images: Count
    steps: tuple[SweepPoint, ...]
    epsilons: tuple[SweepPoint, ...]
    white_box: Standing
    square: Standing
    square_broke: Count
    zero_gradient_share: Share
    surface: LossGrid | None = None


def findings(report: SanityReport) -> tuple[str, ...]:
    """A sentence for each sign of gradient masking or of a weak attack; none where all is well."""
    checks = (
        _steps(report) or _few_steps(report), _reaches_zero(report), _rises(report), _square(report),
        _zero_gradients(report), _flat(report),
    )
    return tuple(f"suspicious: {found}" for found in checks if found)


def _steps(report: SanityReport) -> str:
    if len(report.steps) < 2:
        return ""
    before, last = report.steps[-2], report.steps[-1]
    if before.standing.accuracy - last.standing.accuracy <= STEP_GAIN:
        return ""
    return (
        f"more steps still break more images ({_percent(before.standing)} stand after {before.at:g} steps, "
        f"{_percent(last.standing)} after {last.at:g}): the attack had not converged, and accuracies under fewer steps "
        "flatter the network"
    )


def _few_steps(report: SanityReport) -> str:
    if not report.steps or report.steps[0].standing.accuracy - report.steps[-1].standing.accuracy <= ALL_STEPS_GAIN:
        return ""
    few, many = report.steps[0], report.steps[-1]
    return (
        f"{few.at:g} steps are too few ({_percent(few.standing)} stand after them, {_percent(many.standing)} after "
        f"{many.at:g}): columns with so few flatter the network"
    )


def _reaches_zero(report: SanityReport) -> str:
    if not report.epsilons or report.epsilons[-1].standing.count == 0:
        return ""
    last = report.epsilons[-1]
    return (
        f"{_percent(last.standing)} stand in a ball of epsilon {last.at:.3g}, where an attack must break every image: "
        "the gradients are masked, or the attack is too weak"
    )


def _rises(report: SanityReport) -> str:
    for narrow, wide in zip(report.epsilons, report.epsilons[1:], strict=False):
        if wide.standing.accuracy - narrow.standing.accuracy > STEP_GAIN:
            return (
                f"more images stand in a wider ball ({_percent(narrow.standing)} at epsilon {narrow.at:.3g}, "
                f"{_percent(wide.standing)} at {wide.at:.3g}), though the wider one holds the narrower: the attack "
                "loses its way"
            )
    return ""


def _square(report: SanityReport) -> str:
    chance = _chance_of_accidents(report.square_broke, report.images)
    if report.square_broke < FEWEST_ACCIDENTS or chance >= LEVEL:
        return ""
    return (
        f"Square, which sees no gradients, broke {report.square_broke} of {report.images} images that every white-box "
        f"attack left standing, more than the {NOTABLE:.0%} that accidents explain (exact binomial test, p = "
        f"{chance:.2g}): the gradients are masked"
    )


def _chance_of_accidents(count: int, images: int) -> float:
    """P(X >= count) for X ~ Binomial(images, 1 %): one-sided and exact, by `scipy.stats.binomtest`."""
    from scipy.stats import binomtest

    return float(binomtest(count, images, NOTABLE, alternative="greater").pvalue)


def _zero_gradients(report: SanityReport) -> str:
    if report.zero_gradient_share <= NOTABLE:
        return ""
    return (
        f"the gradient of the cross entropy is exactly 0 for {100 * report.zero_gradient_share:.1f} % of the images: "
        "attacks on the cross entropy have nothing to follow (saturated logits, or an operation without gradients)"
    )


def _flat(report: SanityReport) -> str:
    if report.surface is None or len({value for row in report.surface.loss for value in row}) > 1:
        return ""
    return f"the loss around test image {report.surface.index} is the same everywhere: there is no way up to follow"


def _percent(standing: Standing) -> str:
    return f"{100 * standing.accuracy:.1f} %"
