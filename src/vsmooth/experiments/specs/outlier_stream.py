"""What a training has besides its data, as values of a run's spec: outliers, and weights to start from."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.bounds import check_batch_size, check_count

_MOST_IMAGES = 10**9


@dataclass(frozen=True)
class OutlierStream:
    """Where outliers come from: see :func:`vsmooth.data.load_outliers`; a batch has ``batch_size`` of them.

    limit: number of them, evenly spaced; ``None``: all (of synthetic ones 10,000).
    """

    source: str = "synthetic"
    batch_size: int = 256
    limit: int | None = None

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)
        if self.limit is not None:
            check_count("the number of outliers", self.limit, 1, _MOST_IMAGES, "no set has more images: leave it out")

    @property
    def words(self) -> str:
        """What the source leaves out."""
        usual = OutlierStream()
        found = [] if self.batch_size == usual.batch_size else [f"{self.batch_size} outliers a batch"]
        return ", ".join(found if self.limit is None else [*found, f"{self.limit:,} outliers"])


@dataclass(frozen=True)
class InitialWeights:
    """The finished run whose weights a training starts from. digest: first digits of their SHA-256, so that other
    weights make another run.
    """

    run: str
    digest: str

    @property
    def words(self) -> str:
        """Which run it was differs from seed to seed."""
        return "fine-tuned"
