"""From the options of ``vsmooth distill`` to what is trained."""

from __future__ import annotations

from vsmooth.cli.options import Distill
from vsmooth.cli.parsing import spec_of
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.label_names import AutoAlpha, parse_label
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses import Divergence


def student_of(command: Distill) -> RunSpec:
    """The student without a teacher; ``ValueError`` for a label without alpha."""
    label = parse_label(command.label)
    if isinstance(label, AutoAlpha):
        raise ValueError("vsmooth distill takes one alpha; vsmooth compare --labels vs:auto chooses one")
    return spec_of(command.setting).with_label(label)


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
