"""Progress reports of a training run."""

from __future__ import annotations

from vsmooth.records.run import EpochRecord


class Listener:
    """Receives progress reports and ignores them; a display overrides the methods that it needs."""

    def on_step(self, step: int, total: int, loss: float) -> None:
        """``step`` of ``total`` batches are done."""

    def on_epoch(self, record: EpochRecord) -> None:
        """An epoch and its validation ended."""

    def on_message(self, text: str) -> None:
        """Something the user should read, such as a resumed or damaged checkpoint."""
