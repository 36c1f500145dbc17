"""From a run's spec to the variant that its record carries."""

from __future__ import annotations

from vsmooth.experiments.specs.method import MethodSettings, describe
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses import Objective
from vsmooth.records.objective import ObjectiveRecord
from vsmooth.records.teacher import TeacherRecord
from vsmooth.records.variant import MethodRecord, Variant


def variant_of(spec: RunSpec, num_classes: int, teacher: TeacherRecord | None = None) -> Variant:
    """What tells a run of ``spec`` from others of the same experiment; ``teacher``: the one it is taught by."""
    return Variant(
        spec.method.label(objective_record(spec.objective, num_classes)),
        method_record(spec.method),
        MethodRecord(spec.step.name, describe(spec.step)),
        teacher,
        "" if spec.method.outliers is None else spec.method.outliers.source,
    )


def method_record(method: MethodSettings) -> MethodRecord:
    """A method as records name it, with that of a student who has no teacher."""
    untaught = method.untaught()
    return MethodRecord(method.name, describe(method), None if untaught is None else method_record(untaught))


def objective_record(objective: Objective, num_classes: int) -> ObjectiveRecord:
    """An objective for K = ``num_classes`` as records name it; V is in its name where it is not K."""
    rows = objective.num_virtual(num_classes)
    name = objective.name_for(num_classes)
    return ObjectiveRecord(objective.text, objective.kind, name, objective.parameter, rows)
