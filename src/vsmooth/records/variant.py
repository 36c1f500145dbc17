"""What differs between the rows of a comparison, as one value: its name, its key and its baseline."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from vsmooth.records.objective import ONE_HOT, ObjectiveRecord
from vsmooth.records.teacher import TeacherRecord


@dataclass(frozen=True)
class MethodRecord:
    """A training method or step rule as records name it: short name ("TRADES 6"), and its settings in full.

    untaught: the method that a student without a teacher is trained by, for comparison; ``None``: standard training.
    """

    name: str = ""
    settings: str = ""
    untaught: MethodRecord | None = None


@dataclass(frozen=True)
class Variant:
    """What tells one row from another. Two runs of one variant differ in their seed alone.

    method, step: of standard training with plain steps both are empty. teacher: of a student that was taught.
    outliers: the source of a second, unlabelled stream of images, "" for none.
    """

    objective: ObjectiveRecord
    method: MethodRecord = field(default_factory=MethodRecord)
    step: MethodRecord = field(default_factory=MethodRecord)
    teacher: TeacherRecord | None = None
    outliers: str = ""

    @property
    def name(self) -> str:
        """Short: "VS 0.3", "TRADES 6 + VS 0.6", "KD from VS 0.3"."""
        method = self.method.name
        if self.teacher is not None:
            method = f"{method} from {self.teacher.name}"
        hidden = self.teacher is not None and self.objective.is_one_hot
        return " + ".join(filter(None, (method, self.step.name, "" if hidden else self.objective.name)))

    @property
    def settings(self) -> str:
        """What the short name leaves out, in words: the settings of method and step rule, else the key."""
        return ", ".join(filter(None, (self.method.settings, self.step.settings))) or self.key

    @property
    def key(self) -> str:
        """Eight hexadecimal digits: equal for the same variant, whatever its teacher is called."""
        value = asdict(self) | {"teacher": None if self.teacher is None else self.teacher.fingerprint}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def baseline(self) -> Variant:
        """What it is compared with: a taught student with one that has no teacher, all others with one-hot.

        Method, step rule and outliers stay the same, but for the method that only a teacher makes sense of.
        """
        if self.teacher is not None:
            return replace(self, teacher=None, method=self.method.untaught or MethodRecord())
        return replace(self, objective=ONE_HOT)

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with it and it with none."""
        return self.baseline.key == self.key
