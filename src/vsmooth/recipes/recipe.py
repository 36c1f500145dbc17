"""A setting of the paper as a value: what to train, what the paper reports, where each value comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vsmooth.data import Dataset
from vsmooth.data.sources.known_sets import KNOWN_SETS
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import LabelObjective, Objective


@dataclass(frozen=True)
class Reported:
    """Test accuracy in % in the paper, LS and VS at their best alpha; the number of trainings is not said."""

    one_hot: float
    label_smoothing: float
    virtual_smoothing: float


@dataclass(frozen=True)
class Origins:
    """Where the values come from, in words.

    paper: stated there; reference: read from the authors' or the method's public code; chosen: neither says, so this
    library chose.
    """

    paper: str
    reference: str
    chosen: str


@dataclass(frozen=True)
class Recipe:
    """One (data set, network) of the paper; ``spec`` has the virtual smoothing label at the paper's alpha.

    num_classes, image_size: K and the side in pixels of the RGB images that the recipe is for.
    table: where the paper reports it.
    """

    name: str
    spec: RunSpec
    ls_alpha: float
    accuracy: Reported
    num_classes: int
    image_size: int
    table: str
    origins: Origins

    @property
    def vs_alpha(self) -> float:
        """The paper's alpha for virtual smoothing."""
        return self.spec.objective.parameter or 0.0

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """One-hot, label smoothing and virtual smoothing, as the table compares them."""
        schemes = OneHot(), LabelSmoothing(self.ls_alpha), VirtualSmoothing(self.vs_alpha)
        return tuple(LabelObjective(scheme) for scheme in schemes)

    @property
    def label_texts(self) -> tuple[str, ...]:
        """:attr:`objectives` as they are typed."""
        return tuple(objective.text for objective in self.objectives)

    def check_fits(self, dataset: Dataset, image_size: int | None = None) -> None:
        """Raise ``ValueError`` unless the images are what the recipe is for; ``image_size`` replaces the recipe's."""
        size = image_size or self.image_size
        shape = (3, size, size)
        found = f"{dataset.name} has {dataset.num_classes} classes and images of {_times(dataset.image_shape)}"
        wanted = f"recipe {self.name} is for {self.num_classes} classes and images of {_times(shape)}"
        if dataset.num_classes != self.num_classes or dataset.image_shape[0] != 3:
            raise ValueError(f"{wanted}, but {found}; give --data that fits, or train without --recipe")
        if dataset.image_shape != shape:
            raise ValueError(f"{wanted}, but {found}; --image-size {size} brings them to that size")
        if self._is_other(dataset):
            raise ValueError(
                f"recipe {self.name} is for {self.spec.data}, but {dataset.name} is another set (classes "
                f"{', '.join(dataset.classes[:3])} ...); give --data {self.spec.data}, or train without --recipe"
            )

    def doubt(self, dataset: Dataset) -> str | None:
        """Why images that :meth:`check_fits` lets pass may still be others than the recipe's; None without a reason."""
        known = KNOWN_SETS[self.spec.data]
        counts = (len(dataset.train), len(dataset.test))
        if dataset.name == known.name or sum(counts) + len(dataset.left_out) == sum(known.counts):
            return None
        return (
            f"recipe {self.name} is for {known.name} with {known.counts[0]:,} train and {known.counts[1]:,} test "
            f"images; {dataset.name} has {counts[0]:,} and {counts[1]:,}, so it is a part of it or another set"
        )

    def _is_other(self, dataset: Dataset) -> bool:
        """By its name, or by class names of which most are others; numbered ones ("3", "class-3") tell nothing."""
        known = KNOWN_SETS[self.spec.data]
        if dataset.name == known.name:
            return False
        if dataset.name in KNOWN_SETS:
            return True
        wanted, found = ({name.casefold() for name in names} for names in (known.classes or (), dataset.classes))
        numbered = len({re.sub(r"\d", "", name) for name in found}) == 1
        return bool(wanted) and not numbered and len(wanted & found) < known.num_classes / 2


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
