"""Metrics of a running training for TensorBoard, trackio, W&B or MLflow, through Accelerate's trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from vsmooth.records.run import EpochRecord
from vsmooth.train.execution import Tracker
from vsmooth.train.listener import Listener

_STEPS_BETWEEN_POINTS = 20


def check_tracker(tracker: Tracker) -> None:
    """Raise ``ModuleNotFoundError`` unless the tracker's package is installed (Accelerate would say nothing)."""
    if importlib.util.find_spec(tracker) is None:
        raise ModuleNotFoundError(f"tracking with {tracker} needs its package: pip install {tracker}", name=tracker)


@contextmanager
def tracked(
    accelerator: Accelerator, listener: Listener, folder: Path, settings: Mapping[str, Any]
) -> Iterator[Listener]:
    """A listener that also writes to the trackers ``accelerator`` was made with; ``listener`` itself if there are none.

    The run is named after ``folder``, its project after the folder above; ``settings`` are flattened to text.
    """
    if not accelerator.log_with:
        yield listener
        return
    flat = {name: value if isinstance(value, int | float | str) else str(value) for name, value in settings.items()}
    names = {"wandb": {"name": folder.name}, "mlflow": {"run_name": folder.name}, "trackio": {"name": folder.name}}
    local = {str(tracker) for tracker in accelerator.log_with} == {"tensorboard"}
    project = folder.name if local else folder.parent.name
    accelerator.init_trackers(project, flat, {name: names[name] for name in names if name in accelerator.log_with})
    try:
        yield _Tracked(accelerator, listener)
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


class _Tracked(Listener):
    def __init__(self, accelerator: Accelerator, listener: Listener) -> None:
        self.accelerator, self.listener = accelerator, listener
        self.step = 0

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.listener.on_step(step, total, loss)
        if step // _STEPS_BETWEEN_POINTS > self.step // _STEPS_BETWEEN_POINTS:
            self.accelerator.log({"train/loss": loss}, step=step)
        self.step = step

    def on_epoch(self, record: EpochRecord) -> None:
        self.listener.on_epoch(record)
        values = {"epoch": record.epoch, "train/epoch_loss": record.loss, "train/learning_rate": record.learning_rate}
        values |= {"train/images_per_second": record.images_per_second}
        values |= {f"train/{name}": value for name, value in record.parts.items()}
        values |= {f"validation/{name}": value for name, value in record.validation.items()}
        self.accelerator.log(values, step=self.step)

    def on_message(self, text: str) -> None:
        self.listener.on_message(text)
