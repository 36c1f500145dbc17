"""A setting of the paper as a value: what to train, what the paper reports, where each value comes from."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.data import Dataset
from vsmooth.experiments.label_names import label_text
from vsmooth.experiments.spec import RunSpec
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing


@dataclass(frozen=True)
class Reported:
    """Test accuracy in % in the paper, of one training each; LS and VS at the alpha with the highest one."""

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
        return self.spec.label.alpha

    @property
    def labels(self) -> tuple[LabelScheme, ...]:
        """One-hot, label smoothing and virtual smoothing, as the table compares them."""
        return OneHot(), LabelSmoothing(self.ls_alpha), VirtualSmoothing(self.vs_alpha)

    @property
    def label_texts(self) -> tuple[str, ...]:
        """:attr:`labels` as they are typed."""
        return tuple(label_text(label) for label in self.labels)

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


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
