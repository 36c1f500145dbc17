from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import datasets
import huggingface_hub
import pytest
from data_builders import make_dataset, serve, to_hub

from vsmooth.data import Dataset, load_dataset


@pytest.fixture(autouse=True)
def asked_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Hub that answers; the names that it was asked for."""
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda _, name, **options: asked.append(name))
    return asked


@pytest.fixture
def written() -> Dataset:
    return make_dataset()


@pytest.mark.parametrize("source", ["hub:someone/pictures", "someone/pictures"])
@pytest.mark.parametrize("test", ["test", "validation"])
def test_round_trip(written: Dataset, source: str, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train, other = (to_hub(part, written.classes) for part in (written.train, written.test))
    asked = serve(monkeypatch, **{"train": train, test: other})
    loaded = load_dataset(source)
    assert asked == ["someone/pictures"]
    assert loaded.fingerprint == written.fingerprint
    assert loaded.classes == written.classes


def test_column_names_of_cifar(written: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [to_hub(part, written.classes, "img", "fine_label") for part in (written.train, written.test)]
    serve(monkeypatch, train=parts[0], test=parts[1])
    assert load_dataset("hub:a/b").fingerprint == written.fingerprint


def test_missing_split(written: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, train=to_hub(written.train, written.classes))
    with pytest.raises(
        ValueError, match=r"hub:a/b has no test split: looked for test, validation.*; has train"
    ):
        load_dataset("hub:a/b")


def test_wrong_columns(written: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    text = datasets.Dataset.from_dict({"text": ["x"], "label": [0]})
    serve(monkeypatch, train=text, test=text)
    with pytest.raises(
        ValueError, match=r"hub:a/b, split train needs an image column .* but has text, label"
    ):
        load_dataset("hub:a/b")
    strings = text.rename_column("text", "image")
    serve(monkeypatch, train=strings, test=strings)
    with pytest.raises(ValueError, match=r"split train: column 'image' must be an Image feature"):
        load_dataset("hub:a/b")


def test_unreachable_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    message = r"cannot load 'a/b' from the Hugging Face Hub: Dataset 'a/b' doesn't exist on the Hub; check"
    with pytest.raises(ValueError, match=message):
        load_dataset("a/b")


def refuse_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        raise AssertionError("loading repeats its requests for most of a minute")

    monkeypatch.setattr(datasets, "load_dataset", load)


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real client
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    refuse_to_load(monkeypatch)
    message = r"cannot reach the Hugging Face Hub for 'a/b' \(.*\); check the network, set HF_HUB_OFFLINE=1 if it was"
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset("hub:a/b")
    assert "\n" not in str(caught.value)


def test_a_refusal_of_the_hub_is_left_to_loading(written: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> None:
        raise huggingface_hub.errors.HfHubHTTPError("429 Too Many Requests", response=MagicMock())

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    serve(monkeypatch, train=to_hub(written.train, written.classes), test=to_hub(written.test, written.classes))
    assert load_dataset("hub:a/b").fingerprint == written.fingerprint


@pytest.mark.parametrize("offline", [False, True])
def test_a_hub_that_is_not_to_be_used_is_not_asked(
    offline: bool, written: Dataset, asked_hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    serve(monkeypatch, train=to_hub(written.train, written.classes), test=to_hub(written.test, written.classes))
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda _, name, **options: asked_hub.append(name))
    load_dataset("hub:a/b")
    assert asked_hub == ([] if offline else ["a/b"])


def test_missing_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"'a/b' needs datasets: pip install 'vsmooth\[lab\]'"):
        load_dataset("hub:a/b")
