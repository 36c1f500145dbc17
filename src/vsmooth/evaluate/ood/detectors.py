"""Detectors of pytorch-ood behind one adapter: fitted on training images, larger scores for outliers.

A detector is one line of `DETECTORS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vsmooth.evaluate.ood.outputs import Outputs
from vsmooth.records.features import Features

Input = Literal["logits", "features", "feature_maps", "images"]  # of what a detector is fitted on and asked about


@dataclass(frozen=True, eq=False)
class Fitting:
    """What detectors are made from: a network that gives its K real logits in eval mode, and its features of the
    training images.
    """

    model: nn.Module
    train: Features

    @property
    def head(self) -> nn.Linear:
        """The classifier of the real classes."""
        weight, bias = self.train.real_templates, self.train.real_bias
        linear = nn.Linear(weight.shape[1], len(weight))
        linear.load_state_dict({"weight": weight, "bias": bias})
        return linear.requires_grad_(False)


@dataclass(frozen=True)
class Entry:
    """A detector by its class in pytorch-ood: what it looks at, how it is made, and where it comes from."""

    class_name: str
    looks_at: Input
    make: Callable[[type, Fitting], Any]
    source: str


def _subspace(fitting: Fitting) -> int:
    """The dimension of ViM's principal space as in its paper, half the width for narrow networks."""
    width = fitting.train.activations.shape[1]
    return 1000 if width >= 2048 else 512 if width >= 768 else width // 2


DETECTORS: Mapping[str, Entry] = {
    "gen": Entry("GEN", "logits", lambda kind, fitting: kind(None), "Liu et al., CVPR 2023"),
    "kl-matching": Entry("KLMatching", "logits", lambda kind, fitting: kind(None), "Hendrycks et al., ICML 2022"),
    "mahalanobis": Entry("Mahalanobis", "features", lambda kind, fitting: kind(None), "Lee et al., NeurIPS 2018"),
    "relative-mahalanobis": Entry("RMD", "features", lambda kind, fitting: kind(None), "Ren et al., 2021"),
    "knn": Entry(
        "KNN", "features", lambda kind, fitting: kind(None, k=min(50, len(fitting.train))), "Sun et al., ICML 2022"
    ),
    "vim": Entry(
        "ViM", "features", lambda kind, fitting: kind(None, _subspace(fitting), *fitting.head.parameters()),
        "Wang et al., CVPR 2022",
    ),
    "she": Entry("SHE", "features", lambda kind, fitting: kind(None, fitting.head), "Zhang et al., ICLR 2023"),
    "nnguide": Entry(
        "NNGuide", "features", lambda kind, fitting: kind(None, fitting.head, k=min(10, len(fitting.train))),
        "Park et al., ICCV 2023",
    ),
    "fdbd": Entry("fDBD", "features", lambda kind, fitting: kind(None, fitting.head), "Liu and Qin, ICML 2024"),
    "react": Entry("ReAct", "feature_maps", lambda kind, fitting: kind(None, fitting.head), "Sun et al., NeurIPS 2021"),
    "odin": Entry("ODIN", "images", lambda kind, fitting: kind(fitting.model), "Liang et al., ICLR 2018"),
}  # fmt: skip


class Detector:
    """One of `DETECTORS`, fitted. ModuleNotFoundError without pytorch-ood; ValueError where it cannot be fitted."""

    def __init__(self, name: str, fitting: Fitting) -> None:
        self.name, self.entry, self.num_classes = name, DETECTORS[name], fitting.train.num_classes
        module = import_pytorch_ood("detector", f"the score {name!r}")
        self._own = self._guarded(lambda: self.entry.make(getattr(module, self.entry.class_name), fitting))
        fit = getattr(self._own, f"fit_{self.entry.looks_at}", None)
        if fit is not None:
            self._guarded(lambda: fit(self._seen(fitting.train), fitting.train.labels))

    def score(self, outputs: Outputs) -> Tensor:
        """(N,) float64 of the outputs on some images; not for detectors that look at images themselves."""
        predict = getattr(self._own, f"predict_{self.entry.looks_at}")
        return self._checked(self._guarded(lambda: predict(self._seen(outputs))))

    def score_images(self, images: Tensor) -> Tensor:
        """(B,) float64 of images (B, C, H, W) in [0, 1], on the device of the network."""
        return self._checked(self._guarded(lambda: self._own.predict(images)))

    def _seen(self, outputs: Outputs | Features) -> Tensor:
        return outputs.logits[:, : self.num_classes] if self.entry.looks_at == "logits" else outputs.activations

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (ValueError, RuntimeError, AssertionError, IndexError) as error:
            told = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"the score {self.name!r} does not work for this network: {told}") from error

    def _checked(self, scores: Tensor) -> Tensor:
        found = scores.detach().double().cpu()
        if broken := int((~found.isfinite()).sum()):
            raise ValueError(
                f"the score {self.name!r} does not work for this network: it is NaN or infinite for {broken:,} of "
                f"{len(found):,} images"
            )
        return found


def import_pytorch_ood(module: str, purpose: str) -> Any:
    """A module of pytorch-ood; ModuleNotFoundError that says how to install it."""
    try:
        return importlib.import_module(f"pytorch_ood.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{purpose} needs pytorch-ood: pip install pytorch-ood (or "vsmooth[ood]")', name="pytorch_ood"
        ) from error


def score_by_image(detector: Detector, batches: Any, device: torch.device) -> Tensor:
    """(N,) scores of a detector that looks at images, batch by batch."""
    return torch.cat([detector.score_images(images.to(device)) for images, _ in batches])
