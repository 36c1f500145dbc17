"""The table of named sets in docs/data.md says what the code says."""

from __future__ import annotations

from pathlib import Path

from vsmooth.data import NO_AUGMENTATION, Augmentation, known_set, list_known_sets, list_sources

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
WORDS = {
    NO_AUGMENTATION: "none",
    Augmentation(4, True, "reflect"): "crop and flip",
    Augmentation(8, True, "reflect"): "crop (pad 8) and flip",
    Augmentation(0, True, resized_crop=(0.08, 1.0)): "resized crop and flip",
    None: "not known",
}


def test_named_sets() -> None:
    section = PAGE.partition("## The data sets of the paper")[2].partition("\n## ")[0]
    rows = [line for line in section.split("\n") if line.startswith("| `")]
    expected = []
    for name in list_known_sets():
        record = known_set(name)
        assert record is not None
        cells = [
            f"`{name}`",
            "{:,} + {:,}".format(*record.counts),
            "{1}x{0}".format(*record.image_shape[1:]),
            str(record.num_classes),
            " ".join(f"{value:.4f}" for value in record.mean),
            " ".join(f"{value:.4f}" for value in record.std),
            WORDS[record.augmentation],
            WORDS[record.authors_augmentation],
        ]
        expected.append(f"| {' | '.join(cells)} |")
    assert rows == expected


def test_every_source_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in list_sources() if name != "fashion-mnist-subset")


def test_every_setting_is_named() -> None:
    assert all(f"`{name}`" in PAGE for name in Augmentation.__dataclass_fields__)
