"""A setting of the paper as a value: what to train, what the paper reports, where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vsmooth.data import Dataset
from vsmooth.data.sources.known_sets import KNOWN_SETS
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses import Objective, parse_objective


@dataclass(frozen=True)
class Cell:
    """What one row of a recipe is: a training, how its network is evaluated, and what the paper reports of it.

    spec: its objective and method are what tells it from the other cells. paper: by metric, in the units of a report's
    tables (accuracy in %); the paper does not say of how many trainings. evaluations: "clean" is the plain test split.
    Errors: ValueError without a number of the paper, and without an evaluation.
    """

    spec: RunSpec
    paper: Mapping[str, float]
    evaluations: tuple[str, ...] = ("clean",)

    def __post_init__(self) -> None:
        if not self.paper or not self.evaluations:
            text = self.spec.objective.text
            raise ValueError(f"a cell needs a number of the paper and an evaluation: {text} has none")


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
    """One (data set, network) of the paper as a table of cells.

    table: where the paper reports it. cells: in the paper's order, its own method last.
    num_classes, image_size: K and the side in pixels of the RGB images that the recipe is for.
    Errors: ValueError without cells, and for two cells of the same training.
    """

    name: str
    table: str
    cells: tuple[Cell, ...]
    num_classes: int
    image_size: int
    origins: Origins

    def __post_init__(self) -> None:
        keys = {cell.spec.key for cell in self.cells}
        if not keys or len(keys) < len(self.cells):
            raise ValueError(f"recipe {self.name} needs cells, each of another training; got {len(self.cells)} cells")

    @property
    def spec(self) -> RunSpec:
        """The training of the last cell, the paper's own method: what `vsmooth train --recipe` trains."""
        return self.cells[-1].spec

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the cells, each once: one-hot, label smoothing and virtual smoothing in Tables 2 and 3."""
        return tuple(dict.fromkeys(cell.spec.objective for cell in self.cells))

    @property
    def label_texts(self) -> tuple[str, ...]:
        """:attr:`objectives` as they are typed."""
        return tuple(objective.text for objective in self.objectives)

    def cell(self, kind: str) -> Cell:
        """The first cell whose objective is of that kind ("label-smoothing"); ``ValueError`` where there is none."""
        found = next((cell for cell in self.cells if cell.spec.objective.kind == kind), None)
        if found is None:
            kinds = ", ".join(dict.fromkeys(cell.spec.objective.kind for cell in self.cells))
            raise ValueError(f"recipe {self.name} has no cell with {kind}; it has {kinds}")
        return found

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


def label_cells(spec: RunSpec, accuracy: Mapping[str, float]) -> tuple[Cell, ...]:
    """A cell for each label as it is typed, with the paper's test accuracy in %: `spec` differs in the label alone."""
    return tuple(
        Cell(spec.with_objective(parse_objective(text)), {"accuracy": number}) for text, number in accuracy.items()
    )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
