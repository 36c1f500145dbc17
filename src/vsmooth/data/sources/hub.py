"""Image classification data sets of the Hugging Face Hub, through `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vsmooth.data.extras import import_extra
from vsmooth.data.sources.assemble import Loading, assemble
from vsmooth.data.sources.table import class_names, list_table, pick_columns
from vsmooth.data.storage.dataset import Dataset
from vsmooth.data.storage.encoded import Listing

_SECONDS = 10.0  # to wait for the Hub's first answer
SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val")}


def load_hub(name: str, loading: Loading) -> Dataset:
    """Load "owner/name": splits train and test (or validation), columns image and label.

    Errors: ValueError when the Hub has no such data set, cannot be reached, or the layout differs.
    """
    datasets = import_extra("datasets", f"the Hub data set {name!r}")
    if not datasets.config.HF_HUB_OFFLINE:
        _check_reachable(name)
    try:
        loaded = datasets.load_dataset(name)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever the network, the Hub client or a remote file may raise
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"cannot load {name!r} from the Hugging Face Hub: {reason}; check the name and the network, "
            "or give a folder of parquet or image files instead"
        ) from error
    splits = {split: _pick_split(loaded, split, name) for split in SPLITS}
    listings = {split: _list_split(part, f"hub:{name}, split {split}") for split, part in splits.items()}
    classes = class_names(_label_names(splits["train"]), listings["train"], f"hub:{name}")
    return assemble(name, classes, listings, loading)


def _check_reachable(name: str) -> None:
    """One request that is not repeated; `datasets` tries six times before it gives up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(name, timeout=_SECONDS)
    except HfHubHTTPError:
        return  # the Hub answered, if only with a refusal, which loading explains
    except Exception as error:  # the exceptions of the HTTP client, which differs between versions
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"cannot reach the Hugging Face Hub for {name!r} ({reason}); check the network, set HF_HUB_OFFLINE=1 if it "
            "was downloaded before, or give a folder of parquet or image files instead"
        ) from error


def _pick_split(loaded: Any, split: str, name: str) -> Any:
    for candidate in SPLITS[split]:
        if candidate in loaded:
            return loaded[candidate]
    looked_for = ", ".join(SPLITS[split])
    raise ValueError(f"hub:{name} has no {split} split: looked for {looked_for}; has {', '.join(loaded)}")


def _list_split(part: Any, where: str) -> Listing:
    datasets = import_extra("datasets", "a Hub data set")
    image, _ = pick_columns(part.column_names, where)
    if not isinstance(part.features[image], datasets.Image):
        raise ValueError(f"{where}: column {image!r} must be an Image feature, got {part.features[image]}")
    return list_table(part, where, _caches(datasets))


def _caches(datasets: Any) -> list[Path]:
    """Where `datasets` keeps what it downloads: image files that are not in a table stay there."""
    return [Path(folder) for folder in (datasets.config.HF_CACHE_HOME, datasets.config.HF_DATASETS_CACHE)]


def _label_names(part: Any) -> list[str] | None:
    _, label = pick_columns(part.column_names, "train")
    return getattr(part.features[label], "names", None)
