"""Fine-tuning: the weights of a finished run as the start of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vsmooth.classifier import find_classifier
from vsmooth.data import Dataset
from vsmooth.experiments.specs.outlier import OutlierSettings
from vsmooth.experiments.specs.outlier_stream import InitialWeights
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.specs.spec_file import CLAIM, SPEC_FILE
from vsmooth.head import virtual_heads
from vsmooth.losses import Objective
from vsmooth.records.run import RECORD_FILE, WEIGHTS_FILE, RunRecord, intact_weights, read_record
from vsmooth.train import CheckpointError, read_weights

_DIGITS = 16  # of a SHA-256


@dataclass(frozen=True)
class InitialRuns:
    """The finished runs that trainings start from, of one experiment."""

    folders: tuple[Path, ...]
    records: tuple[RunRecord, ...]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> InitialRuns:
        """ValueError for a run that is not finished."""
        for folder in folders:
            if not (folder / RECORD_FILE).is_file():
                raise ValueError(f"the run in {folder} is not finished: training cannot start from it")
        return cls(tuple(folders), tuple(read_record(folder) for folder in folders))

    def choose(self, objective: Objective, seed: int) -> InitialWeights:
        """The only run, else the one of this seed, of several of them the one with this objective.

        ValueError where that leaves none or several.
        """
        found = list(range(len(self.folders)))
        for wanted in (
            lambda record: record.seed == seed, lambda record: record.variant.objective.text == objective.text,
        ):
            if len(found) > 1:
                found = [place for place in found if wanted(self.records[place])]
        if len(found) != 1:
            how_many = "none" if not found else f"{len(found)}"
            raise ValueError(
                f"of the {len(self.folders)} runs to start from {how_many} are of seed {seed} and {objective.text}: "
                "name one run, or runs with one of each seed (and label)"
            )
        place = found[0]
        return InitialWeights(str(self.folders[place]), self.records[place].digests[WEIGHTS_FILE][:_DIGITS])

    def given_to(self, spec: RunSpec) -> RunSpec:
        """The same run from the weights that :meth:`choose` finds; ``ValueError`` for a method that takes none."""
        if not isinstance(spec.method, OutlierSettings):
            raise ValueError(
                "only trainings with outliers start from a finished run: choose --method oe, ssl or energy, or leave "
                "--start-from out"
            )
        return replace(spec, method=replace(spec.method, initial=self.choose(spec.objective, spec.seed)))


def start_from(model: nn.Module, initial: InitialWeights, name: str, dataset: Dataset, num_reject: int) -> None:
    """Give ``model`` the weights of a finished run, in place.

    All of them where the classifiers have the same rows; of reject and virtual classes that the run does not have the
    random ones stay. name: of the network.

    Raises:
        ValueError: the run is gone, was trained anew, or has another network, other classes or images.
        CheckpointError: its weights are missing, or do not fit.
    """
    folder = Path(initial.run)
    if not (folder / SPEC_FILE).is_file() or not (folder / RECORD_FILE).is_file():
        raise ValueError(f"{folder}, whose weights the training starts from, is not a finished run any more")
    claim, record = CLAIM.read(folder), read_record(folder)
    for what, theirs, ours in (
        ("weights", record.digests.get(WEIGHTS_FILE, "")[: len(initial.digest)], initial.digest),
        ("network", claim.spec.model, name),
        ("number of classes", record.num_classes, dataset.num_classes),
        ("image shape", claim.image_shape, dataset.image_shape),
    ):
        if theirs != ours:
            raise ValueError(f"training cannot start from {folder}: its {what} is {theirs}, wanted is {ours}")
    same_rows = num_reject == claim.spec.method.num_reject(record.num_classes)
    tensors = read_weights(intact_weights(folder, record))
    _copy(model, tensors, dataset.num_classes, same_rows, folder)


@torch.no_grad()
def _copy(model: nn.Module, tensors: dict[str, Tensor], num_classes: int, same_rows: bool, folder: Path) -> None:
    wide = virtual_heads(model)
    head = wide[0][0] if wide else find_classifier(model)[0]
    own = model.state_dict()
    if own.keys() != tensors.keys():
        raise CheckpointError(f"the weights in {folder} are not those of such a network")
    for name, tensor in tensors.items():
        target = own[name]
        if name.rpartition(".")[0] == head and not (same_rows and tensor.shape == target.shape):
            tensor, target = tensor[:num_classes], target[:num_classes]
        if tensor.shape != target.shape:
            raise CheckpointError(f"{name} in {folder} has shape {tuple(tensor.shape)}, wanted {tuple(target.shape)}")
        target.copy_(tensor)
