"""A network with its temperature in one file, which needs neither the run's folder nor its images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from vsmooth.data import Dataset
from vsmooth.digests import check_written, digest_file, write_digest
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.run import load_run, read_spec
from vsmooth.head import remove_virtual_classes, virtual_heads
from vsmooth.metrics import TemperatureScaled
from vsmooth.models import build_model
from vsmooth.records.bounds import NumClasses, Side
from vsmooth.records.json_files import parse_json
from vsmooth.records.serialisation import from_plain, to_plain
from vsmooth.train import CheckpointError, load_weights, read_weights, save_weights

CALIBRATED_FILE = "model-calibrated.safetensors"
_KEY = "vsmooth"


@dataclass(frozen=True)
class _Network:
    """What builds the network; image_size: (height, width)."""

    name: str
    num_classes: NumClasses
    in_channels: Side
    image_size: tuple[Side, Side]


@dataclass(frozen=True)
class _Exported:
    """What the metadata of the file hold."""

    network: _Network
    classes: tuple[str, ...]


def export_calibrated(folder: Path, dataset: Dataset, temperature: float) -> Path:
    """Write the run's network, without virtual classes, divided by `temperature`, beside its own weights.

    The file's metadata hold what builds the network again; `load_calibrated` reads it. Its SHA-256 is written beside
    it. The run's own weights stay as they are. ValueError for a temperature that is not positive and finite, and
    where another process is writing the folder.
    """
    spec = read_spec(folder)
    model = load_run(folder)
    plain = remove_virtual_classes(model) if virtual_heads(model) else model
    channels, height, width = dataset.image_shape
    network = _Network(spec.model, dataset.num_classes, channels, (height, width))
    tensors = TemperatureScaled(plain, temperature).state_dict()
    path = folder / CALIBRATED_FILE
    with owned(folder):
        save_weights(path, tensors, {_KEY: json.dumps(to_plain(_Exported(network, dataset.classes)))})
        write_digest(path)
    return path


def load_calibrated(path: str | Path) -> TemperatureScaled:
    """The network that `export_calibrated` wrote, in eval mode: images (N, C, H, W) in [0, 1] to logits / T, (N, K).

    A file that was moved without its SHA-256 is not checked.

    Raises:
        ValueError: the file is not the one that the SHA-256 beside it is of.
        CheckpointError: the file is missing, damaged or something else.
    """
    path = Path(path)
    if digest_file(path).is_file():
        check_written(path, "`vsmooth calibrate RUN --store-temperature` writes it anew")
    network = _read_network(path)
    model = TemperatureScaled(build_model(**vars(network)), 1.0)
    load_weights(model, read_weights(path), path)
    return model.eval()


def _read_network(path: Path) -> _Network:
    try:
        with safe_open(path, framework="pt") as file:
            told = from_plain(_Exported, parse_json((file.metadata() or {})[_KEY]))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read weights from {path}: {error}") from error
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no calibrated network ({error}): `vsmooth calibrate RUN --store-temperature` writes one"
        ) from error
    return told.network
