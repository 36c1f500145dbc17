"""From what is typed to a teacher: run folders, timm networks, saved logits, and which are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from teacher_builders import BASE, Teachers, save_logits, train_teachers

from vsmooth.data import Dataset, ImageSet
from vsmooth.experiments.build import training_splits
from vsmooth.experiments.teaching.distill import DistillPlan, distill
from vsmooth.experiments.teaching.sources import open_teacher, open_teachers, training_places
from vsmooth.train import make_accelerator


@pytest.fixture(scope="module")
def teachers(toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Teachers:
    return train_teachers(toy_dataset, tmp_path_factory.mktemp("teachers"))


@pytest.mark.parametrize("limit", [None, 60])
def test_places_of_the_training_images(toy_dataset: Dataset, limit: int | None) -> None:
    spec = replace(BASE, train_limit=limit, split_seed=3)
    train, _ = training_splits(spec, toy_dataset)
    places = training_places(spec, toy_dataset)
    assert isinstance(train, ImageSet)
    assert isinstance(toy_dataset.train, ImageSet)
    assert torch.equal(toy_dataset.train.images[places], train.images)


def save_timm(folder: Path, num_classes: int, channels: int = 1) -> str:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=num_classes, in_chans=channels)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"mean": [0.4] * channels, "std": [0.2] * channels, "input_size": [channels, 24, 32]}
    config |= {"first_conv": "conv1", "classifier": "fc", "num_classes": num_classes}
    about = {"architecture": "test_resnet", "num_classes": num_classes, "pretrained_cfg": config}
    model_args = {"in_chans": channels}
    (folder / "config.json").write_text(json.dumps({**about, "model_args": model_args}))
    return f"timm:local-dir:{folder}"


def test_a_grey_teacher_of_colour_images_and_the_other_way_round(
    teachers: Teachers, toy_dataset: Dataset, tmp_path: Path
) -> None:
    split = ImageSet(toy_dataset.train.images.expand(-1, 3, -1, -1), toy_dataset.train.labels)
    colour = replace(toy_dataset, name="painted", train=split, test=split)
    remedy = "give the students --data like the teacher's, or a teacher that was trained on images like theirs"
    message = r"trained on toy, looks at images of 1x8x8 \(grey\), those of painted are 3x8x8 \(colour\): " + remedy
    with pytest.raises(ValueError, match=message):
        open_teacher(str(next(iter(teachers.values()))), colour)
    with pytest.raises(ValueError, match=r"images of 3x24x32 \(colour\), those of toy are 1x8x8 \(grey\): " + remedy):
        open_teacher(save_timm(tmp_path / "net", 4, channels=3), toy_dataset)


def test_timm_network_with_its_own_normalisation_and_size(toy_dataset: Dataset, tmp_path: Path) -> None:
    source = open_teacher(save_timm(tmp_path / "net", 4), toy_dataset)
    model = timm.create_model(f"local-dir:{tmp_path / 'net'}", pretrained=True).eval()
    assert isinstance(toy_dataset.test, ImageSet)
    images = toy_dataset.test.images / 255
    resized = torch.nn.functional.interpolate(images, (24, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = model((resized - 0.4) / 0.2)
    found = source.test_logits(toy_dataset, make_accelerator("fp32"), None)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    spec = replace(BASE, precision="bf16")
    assert source.precision(spec) == "bf16"  # it has none of its own
    with pytest.raises(ValueError, match=r"knows 7 classes, toy has 4: a student learns from a teacher of its own"):
        open_teacher(save_timm(tmp_path / "seven", 7), toy_dataset)
    with pytest.raises(ValueError, match=r"looks at images of 3x24x32 .*, those of toy are 1x8x8 "):
        open_teacher(save_timm(tmp_path / "rgb", 4, channels=3), toy_dataset)
    with pytest.raises(ValueError, match=r"timm cannot load local-dir:.*nowhere with pretrained weights"):
        open_teacher(f"timm:local-dir:{tmp_path / 'nowhere'}", toy_dataset)


def test_teacher_of_other_images_keeps_its_size(teachers: Teachers, toy_dataset: Dataset) -> None:
    """A run on images of 8 pixels teaches students of 16."""
    assert isinstance(toy_dataset.train, ImageSet)
    large, test = (
        ImageSet(part.images.repeat_interleave(2, 2).repeat_interleave(2, 3), part.labels)
        for part in (toy_dataset.train, toy_dataset.test)
        if isinstance(part, ImageSet)
    )
    source = open_teacher(str(teachers["one-hot"]), replace(toy_dataset, train=large, test=test))
    found = source.test_logits(replace(toy_dataset, train=large, test=test), make_accelerator("fp32"), None)
    own = open_teacher(str(teachers["one-hot"]), toy_dataset).test_logits(toy_dataset, make_accelerator("fp32"), None)
    assert found is not None
    assert own is not None
    # Antialiasing blurs over the enlarged pixels, so the images are not quite those of the teacher's training.
    assert (found.argmax(1) == own.argmax(1)).double().mean() > 0.6
    assert (found - own).abs().max() > 0


def refuse(dataset: Dataset, *origins: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        open_teachers([str(origin) for origin in origins], dataset)


def test_teachers_that_are_refused(teachers: Teachers, toy_dataset: Dataset, tmp_path: Path) -> None:
    refuse(toy_dataset, match="there is no teacher: give --teacher with a run folder, timm:NAME")
    refuse(toy_dataset, tmp_path / "nowhere", match="nowhere does not exist; a teacher is a run folder, timm:NAME")
    refuse(toy_dataset, tmp_path, match=r"is not a run folder \(it has no spec.json\)")
    refuse(toy_dataset, *[teachers["one-hot"]] * 2, match="are the same teacher; name it once")
    unfinished = shutil.copytree(teachers["one-hot"], tmp_path / "unfinished")
    (unfinished / "record.json").unlink()
    refuse(toy_dataset, unfinished, match="is not finished: run the command that began it again")
    three = Dataset("three", ("a", "b", "c"), *(part.subset(part.labels < 3) for part in splits(toy_dataset)))
    refuse(three, teachers["one-hot"], match="knows 4 classes, three has 3: a student learns from a teacher of its own")
    refuse(three, tmp_path / "none.npz", match=r"there is no logits file at .*none\.npz")
    path = save_logits(tmp_path / "saved.npz", toy_dataset)
    refuse(three, path, match=r"labels in .*saved.npz are not those of the train split \(160 and 120 images\)")
    shuffled = save_logits(tmp_path / "shuffled.npz", toy_dataset, labels=toy_dataset.train.labels.flip(0).numpy())
    refuse(toy_dataset, shuffled, match="must hold all its images in their order")
    np.savez(tmp_path / "odd.npz", logits=np.zeros((2, 2)))
    refuse(toy_dataset, tmp_path / "odd.npz", match=r"odd.npz has no array 'labels', only \['logits'\]")
    wide = open_teacher(str(save_logits(tmp_path / "wide.npz", toy_dataset, width=6)), toy_dataset)
    plan = DistillPlan(BASE, (wide,), (0,))
    with pytest.raises(ValueError, match=r"has 6 logits an image and the data set 4 classes; if they are K \+ V"):
        distill(plan, toy_dataset, tmp_path / "out", "")


def splits(dataset: Dataset) -> list[ImageSet]:
    assert isinstance(dataset.train, ImageSet)
    assert isinstance(dataset.test, ImageSet)
    return [
        ImageSet(part.images[part.labels < 3], part.labels[part.labels < 3]) for part in (dataset.train, dataset.test)
    ]


def test_names_tell_teachers_apart(
    teachers: Teachers, toy_dataset: Dataset, tmp_path: Path, accept: Callable[[Path], None]
) -> None:
    other = shutil.copytree(teachers["VS 0.3"], tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    changed = {name: tensor + 1e-3 if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    save_file(changed, other / "model.safetensors")
    accept(other / "model.safetensors")
    origins = [str(teachers["VS 0.3"]), str(other), str(teachers["LS 0.3"])]
    first, second, third = (source.record.name for source in open_teachers(origins, toy_dataset))
    assert (first, second, third) == (f"VS 0.3 ({origins[0]})", f"VS 0.3 ({origins[1]})", "LS 0.3")
    record = json.loads((other / "record.json").read_text())
    (other / "record.json").write_text(json.dumps({**record, "model": "resnet8"}))
    first, second, _ = (source.record.name for source in open_teachers(origins, toy_dataset))
    assert (first, second) == ("VS 0.3 (small)", "VS 0.3 (resnet8)")
