"""Small teachers: runs of three labels, and files of logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vsmooth.data import NO_AUGMENTATION, Dataset, ImageSet
from vsmooth.experiments.compare import ComparePlan, compare
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses.catalogue import parse_objective

BASE = RunSpec("toy", "small", epochs=2, batch_size=48, augmentation=NO_AUGMENTATION)
Teachers = dict[str, Path]


def train_teachers(dataset: Dataset, folder: Path) -> Teachers:
    """Run folders of a one-hot, an LS and a VS teacher."""
    labels = tuple(map(parse_objective, ("one-hot", "ls:0.3", "vs:0.3")))
    runs = compare(ComparePlan(replace(BASE, epochs=4), labels, (0,)), dataset, folder, "").runs
    return {run.name: folder / run.folder for run in runs}


def save_logits(path: Path, dataset: Dataset, width: int = 4, **changes: Any) -> Path:
    """What a teacher that knows the labels would say."""
    generator = torch.Generator().manual_seed(0)

    def logits_of(split: ImageSet) -> np.ndarray:
        noise = torch.randn(len(split), width, generator=generator)
        return (noise + 6 * torch.nn.functional.one_hot(split.labels, width)).numpy()

    assert isinstance(dataset.train, ImageSet)
    assert isinstance(dataset.test, ImageSet)
    arrays = {"logits": logits_of(dataset.train), "labels": dataset.train.labels.numpy()}
    np.savez(path, **(arrays | {"test_logits": logits_of(dataset.test)} | changes))
    return path
