"""What a training run tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochLog:
    """One epoch: mean training loss, last learning rate, time in training steps, validation metrics."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    images_per_second: float
    metrics: dict[str, float]


class Listener:
    """Told what happens; the display overrides what it shows."""

    def on_step(self, step: int, total: int, loss: float) -> None:
        """``step`` of ``total`` batches are done."""

    def on_epoch(self, log: EpochLog) -> None:
        """An epoch and its validation ended."""

    def on_message(self, text: str) -> None:
        """Something the user should read, such as a resumed or damaged checkpoint."""
