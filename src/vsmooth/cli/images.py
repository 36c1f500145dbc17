"""The images of a command, and what is said about them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from vsmooth import data
from vsmooth.cli.display import say

_NAMED = 5  # of unreadable images


def load_data(source: str, image_size: int | None, skip_broken: bool, console: Console) -> data.Dataset:
    """Load a data set, and print its size and what is unusual about it."""
    dataset = data.load_dataset(source, image_size=image_size, skip_broken=skip_broken)
    channels, height, width = dataset.image_shape
    say(
        console,
        f"{dataset.name}: {len(dataset.train):,} train and {len(dataset.test):,} test images, "
        f"{channels}x{height}x{width}, {dataset.num_classes} classes",
    )
    _say_unreadable("left out as unreadable", dataset.left_out, console)
    warn(dataset.overlap_note, console)
    if (known := data.known_set(dataset.name)) is not None:
        warn(known.counts_note(len(dataset.train), len(dataset.test), len(dataset.left_out)), console)
    return dataset


def warn(note: str | None, console: Console) -> None:
    """Print a note in yellow, if there is one."""
    if note is not None:
        say(console, note, style="yellow")


def say_replaced(dataset: data.Dataset, console: Console) -> None:
    """Name the images that could not be read during training."""
    from accelerate.utils import gather_object

    met = gather_object(list(dataset.skipped[len(dataset.left_out) :]))  # every process has met others
    replaced = list(dict.fromkeys(met))
    _say_unreadable("unreadable, replaced by the next image", replaced, console)


def _say_unreadable(what: str, names: Sequence[str], console: Console) -> None:
    if names:
        more = " ..." if len(names) > _NAMED else ""
        say(console, f"{what}: {len(names)} ({', '.join(names[:_NAMED])}{more})", style="yellow")
