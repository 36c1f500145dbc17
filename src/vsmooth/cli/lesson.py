"""From the options of ``vsmooth distill`` to what is trained."""

from __future__ import annotations

from vsmooth.cli.options import Distill
from vsmooth.cli.parsing import spec_of
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses import Divergence, parse_objective


def student_of(command: Distill) -> RunSpec:
    """The student without a teacher; ``ValueError`` for a label whose parameter is left to choose."""
    return spec_of(command.setting).with_objective(parse_objective(command.label))


def lesson_of(command: Distill) -> Distillation:
    """What students learn; the fingerprint of the teacher is filled in later. ``ValueError`` for impossible values."""
    how = Distillation(
        teacher="",
        gamma=command.gamma,
        divergence=Divergence(command.divergence, command.tau, command.target_weight, command.other_weight),
        logits=command.logits,
        views=command.cache_teacher,
        top_k=command.cache_top_k,
    )
    how.check_fits(command.setting.mixing)
    return how
