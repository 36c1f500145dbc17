"""Checkpoints: safetensors and JSON, written atomically; the newest undamaged one is read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vsmooth.atomic import replacing
from vsmooth.digests import digest_of
from vsmooth.records.bounds import Count
from vsmooth.records.json_files import parse_json
from vsmooth.records.serialisation import from_plain, to_plain
from vsmooth.train.processes import sharded_like

_FORMAT = 2


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or does not fit; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by group ("model", "optimizer", ...) and plain values at one step; NaN among them is read as None."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    values: dict[str, Any] = field(default_factory=dict)

    def group(self, name: str) -> dict[str, Tensor]:
        """Tensors of one group; CheckpointError if there is none."""
        if name not in self.tensors:
            raise CheckpointError(f"the checkpoint of step {self.step} has no {name}, only {', '.join(self.tensors)}")
        return self.tensors[name]


@dataclass(frozen=True)
class _State:
    """What `state.json` holds, besides the checksum of all this."""

    format: int
    step: Count
    sha256: dict[str, str]
    values: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> None:
    """Write ``folder/step-N`` atomically, then delete all but the newest ``keep``.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; earlier checkpoints are left as they were.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    temporary = folder / f".{final.name}.partial"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        digests = {
            group: save_weights(temporary / f"{group}.safetensors", tensors)
            for group, tensors in checkpoint.tensors.items()
        }
        state = to_plain(_State(_FORMAT, checkpoint.step, digests, checkpoint.values))
        with replacing(temporary / "state.json") as partial:
            partial.write_text(json.dumps({**state, "checksum": _checksum(state)}))
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = _steps(folder)
        left = f"the checkpoint of step {_step_of(kept[0])} is intact" if kept else "no earlier checkpoint exists"
        raise CheckpointError(
            f"cannot save a checkpoint in {folder}: {error.strerror or error}; {left}. Free space or fix "
            f"permissions, then run the same command again to {'resume' if kept else 'begin again'}"
        ) from error
    # Later ones were passed over as damaged when this run resumed; kept, they would push out the sound ones.
    later = [path for path in _steps(folder) if _step_of(path) > checkpoint.step]
    for path in later + _steps(folder)[len(later) + keep :]:
        shutil.rmtree(path, ignore_errors=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint, damaged or not."""
    return bool(_steps(folder))


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest undamaged checkpoint, or ``None``, and a message for each damaged one that was skipped."""
    warnings: list[str] = []
    steps = _steps(folder)
    for path in steps:
        try:
            return _read(path), warnings
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            remedy = "no earlier one is left: starting over" if path == steps[-1] else "falling back to the one before"
            warnings.append(f"checkpoint {path} is damaged ({error}); {remedy}")
    return None, warnings


def load_weights(model: nn.Module, tensors: dict[str, Tensor], origin: str | Path) -> None:
    """Load a state dict that must fit exactly.

    Raises:
        CheckpointError: missing or extra tensors, another shape, whole numbers instead of floats, NaN or Inf; the
            message names them.
    """
    own = model.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shared = sorted(own.keys() & tensors.keys())
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in shared
        if tensors[name].shape != own[name].shape
    ]
    retyped = [
        f"{name} {tensors[name].dtype} instead of {own[name].dtype}"
        for name in shared
        if tensors[name].is_floating_point() != own[name].is_floating_point()
    ]
    problems = [
        f"{word} {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        for word, names in (
            ("missing", missing), ("unexpected", extra), ("of another shape:", reshaped), ("of another kind:", retyped)
        )
        if names
    ]
    if problems:
        raise CheckpointError(f"{origin} does not fit this model: {'; '.join(problems)}; it is of another architecture")
    if broken := [name for name in shared if not tensors[name].isfinite().all()]:
        raise CheckpointError(f"{origin} holds NaN or infinite weights: {', '.join(broken[:4])}")
    model.load_state_dict({name: sharded_like(tensors[name], reference) for name, reference in own.items()})


def save_weights(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    """Write a safetensors file atomically, with optional texts in its header, and return its SHA-256."""
    # Copies: tensors that share memory, or lie channels_last, cannot be stored as they are.
    plain = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    with replacing(path) as partial:
        save_file(plain, partial, metadata)
    return digest_of(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file; :class:`CheckpointError` if it is missing or damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read weights from {path}: {error}") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as flat tensors ``"<parameter>.<name>"`` (numbers become 0-dimensional tensors)."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in state.items()
        for name, value in entries.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], origin: str | Path) -> None:
    """Undo :func:`optimizer_tensors`; hyper-parameters stay as the optimizer was built.

    Raises:
        CheckpointError: a tensor of no parameter, of another shape than its parameter, of whole numbers, or with NaN
            or Inf; the message names it.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        known = index.isdecimal() and int(index) < len(parameters)
        fits = known and value.shape == (() if name == "step" else parameters[int(index)].shape)
        if not fits or not value.is_floating_point() or not value.isfinite().all():
            found = f"{key} {value.dtype} {tuple(value.shape)}"
            raise CheckpointError(f"{origin} has an optimizer state that does not fit or is not finite: {found}")
        state.setdefault(int(index), {})[name] = sharded_like(value, parameters[int(index)])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _read(path: Path) -> Checkpoint:
    stored = parse_json((path / "state.json").read_text(encoding="utf-8"))
    if not isinstance(stored, dict) or stored.pop("checksum", None) != _checksum(stored):
        raise ValueError("state.json is truncated or changed")
    if stored.get("format") != _FORMAT:
        raise ValueError(f"format {stored.get('format')!r:.40}, expected {_FORMAT}")
    state = from_plain(_State, stored)
    tensors = {}
    for group, digest in state.sha256.items():
        file = path / f"{group}.safetensors"
        if digest_of(file) != digest:
            raise ValueError(f"{file.name} is truncated or changed")
        tensors[group] = load_file(file)
    return Checkpoint(state.step, tensors, state.values)


def _steps(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(found, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _checksum(state: Any) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=repr).encode()).hexdigest()
