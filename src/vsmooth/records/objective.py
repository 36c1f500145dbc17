"""The objective of a training as a record."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.labels import OneHot
from vsmooth.records.bounds import NumVirtual


@dataclass(frozen=True)
class ObjectiveRecord:
    """An objective as records name it.

    text: canonical, as it is typed: "vs:0.3". kind: its family, "virtual-smoothing". name: short, "VS 0.3", with V
    where it is not K. parameter: alpha of a label scheme, gamma of a focal loss; ``None`` where there is none.
    """

    text: str
    kind: str
    name: str
    parameter: float | None = None
    num_virtual: NumVirtual = 0

    @property
    def is_one_hot(self) -> bool:
        """Whether this is plain cross entropy, which the others are compared with."""
        return self.kind == OneHot.name


ONE_HOT = ObjectiveRecord(OneHot.name, OneHot.name, OneHot.short_name)
