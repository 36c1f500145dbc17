"""What a network's last layer holds, as a record: virtual classes, similarity, overlap of what the classes look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vsmooth.digests import check_digest
from vsmooth.metrics import BootstrapInterval, TemplateDistances, VirtualDiagnostics
from vsmooth.records.gradient_maps import Overlap
from vsmooth.records.json_files import read_json, write_json

INSPECTION_FILE = "inspection.json"
FEATURES = {"test": "features-test.npz", "train": "features-train.npz"}


@dataclass(frozen=True)
class SimilarityMetrics:
    """One model: values by name, and the paired differences from a baseline (empty without one).

    spread, spread_within, spread_across: standard deviations of the wrong-class logits over the gap of the correct one.
    distance_variation: of the distances between class means, 0 is equilateral; cluster_spread: width of the clusters
    over those distances. template_variation: the first for the classifier's rows, which do not vary with the samples.
    human_kl: KL(human || model), nats. human_image_rank: mean Spearman over the wrong classes of the images on which
    people erred; human_pair_rank and human_template_rank: Spearman over class pairs of the human confusions with the
    wrong-class softmax and with the template cosines.
    """

    values: dict[str, BootstrapInterval]
    differences: dict[str, BootstrapInterval]
    template_variation: float
    samples: int
    images_with_human_errors: int | None  # None without human labels


@dataclass(frozen=True)
class InspectionRecord:
    """Of `samples` test images; `virtual` for networks with virtual classes, `similarity` from three classes on.

    classes: the three of the plane, whose training images `features-train.npz` holds (none for fewer than three).
    baseline: folder of the one-hot run of the same seed, which the differences of the similarity are from.
    cka: linear CKA of the last layer with other runs, by folder. overlap: of the correct class's map with others.
    digests: SHA-256 of the files of features and gradients, by name.
    """

    samples: int
    classes: tuple[int, ...] = ()
    virtual: VirtualDiagnostics | None = None
    similarity: SimilarityMetrics | None = None
    baseline: str | None = None
    cka: Mapping[str, float] = field(default_factory=dict)
    overlap: Mapping[str, Overlap] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> InspectionRecord:
        """Undo `to_json`; KeyError, TypeError or ValueError for something else."""
        virtual, similarity = value["virtual"], value["similarity"]
        return cls(
            samples=int(value["samples"]),
            classes=tuple(int(index) for index in value["classes"]),
            virtual=None if virtual is None else VirtualDiagnostics(
                **{**virtual, "distances": TemplateDistances(**virtual["distances"])}
            ),
            similarity=None if similarity is None else SimilarityMetrics(**{
                **similarity,
                "values": _intervals(similarity["values"]),
                "differences": _intervals(similarity["differences"]),
            }),
            baseline=value["baseline"],
            cka={str(name): float(number) for name, number in value["cka"].items()},
            overlap={
                name: Overlap(_interval(found["rank"]), _number(found["cosine"]), int(found["images"]))
                for name, found in value["overlap"].items()
            },
            digests={str(name): str(digest) for name, digest in value.get("digests", {}).items()},
        )


def write_inspection(record: InspectionRecord, folder: Path) -> Path:
    """Writes `folder/inspection.json`."""
    return write_json(folder / INSPECTION_FILE, record.to_json())


def intact_file(folder: Path, record: InspectionRecord, name: str) -> Path:
    """A file of features or gradients, which is that of the record; DamagedFileError where it is not."""
    return check_digest(folder / name, record.digests, folder / INSPECTION_FILE, "`vsmooth inspect` writes it anew")


def read_inspection(folder: Path) -> InspectionRecord | None:
    """What `write_inspection` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    path = folder / INSPECTION_FILE
    if not path.is_file():
        return None
    value = read_json(path)
    try:
        return InspectionRecord.from_json(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not an inspection ({error}); `vsmooth inspect` writes it anew") from None


def _intervals(values: Mapping[str, Any]) -> dict[str, BootstrapInterval]:
    return {name: _interval(found) for name, found in values.items()}


def _interval(found: Mapping[str, Any]) -> BootstrapInterval:
    return BootstrapInterval(*(_number(found[end]) for end in ("value", "low", "high")))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
