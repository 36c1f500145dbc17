"""Record of an inspection of the last layer: virtual classes, class similarity, overlap of input gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from vsmooth.digests import check_digest
from vsmooth.metrics import BootstrapInterval, VirtualDiagnostics
from vsmooth.records.bounds import SIMILARITY_RANGES, Count, Share
from vsmooth.records.gradient_maps import Overlap
from vsmooth.records.json_files import RecordFile

INSPECTION_FILE = "inspection.json"
FEATURES = {"test": "features-test.npz", "train": "features-train.npz"}


@dataclass(frozen=True)
class SimilarityMetrics:
    """One model: values by name, and the paired differences from a baseline (empty without one) with their intervals.

    spread, spread_within, spread_across: standard deviations of the wrong-class logits over the gap of the correct one.
    distance_variation: of the distances between class means, 0 is equilateral; cluster_spread: width of the clusters
    over those distances. template_variation: the first for the classifier's rows, which do not vary with the samples.
    human_kl: KL(human || model), nats. human_image_rank: mean Spearman over the wrong classes of the images on which
    people erred; human_pair_rank and human_template_rank: Spearman over class pairs of the human confusions with the
    wrong-class softmax and with the template cosines.
    """

    values: Annotated[dict[str, float], SIMILARITY_RANGES]
    differences: dict[str, BootstrapInterval]
    template_variation: float
    samples: Count
    images_with_human_errors: Count | None  # None without human labels


@dataclass(frozen=True)
class InspectionRecord:
    """Of `samples` test images; `virtual` for networks with virtual classes, `similarity` from three classes on.

    classes: the three of the plane, whose training images `features-train.npz` holds (none for fewer than three).
    baseline: folder of the one-hot run of the same seed, which the differences of the similarity are from.
    cka: linear CKA of the last layer with other runs, by folder. overlap: of the correct class's map with others.
    digests: SHA-256 of the files of features and gradients, by name.
    """

    samples: Count
    classes: tuple[Count, ...] = ()
    virtual: VirtualDiagnostics | None = None
    similarity: SimilarityMetrics | None = None
    baseline: str | None = None
    cka: Mapping[str, Share] = field(default_factory=dict)
    overlap: Mapping[str, Overlap] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) not in (0, 3) or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be three different ones or none, got {len(self.classes)}")


_FILE = RecordFile(INSPECTION_FILE, InspectionRecord, "`vsmooth inspect` writes it anew")


def write_inspection(record: InspectionRecord, folder: Path) -> Path:
    """Writes `folder/inspection.json`."""
    return _FILE.write(record, folder)


def intact_file(folder: Path, record: InspectionRecord, name: str) -> Path:
    """A file of features or gradients, which is that of the record; DamagedFileError where it is not."""
    return check_digest(folder / name, record.digests, folder / INSPECTION_FILE, "`vsmooth inspect` writes it anew")


def read_inspection(folder: Path) -> InspectionRecord | None:
    """What `write_inspection` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    return _FILE.find(folder)
