"""All scores of one network: fitted once on its training images, then any set of images."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsmooth.data import BatchSource
from vsmooth.evaluate.ood.detectors import DETECTORS, Detector, Fitting, score_by_image
from vsmooth.evaluate.ood.outputs import Layout, Outputs, forward
from vsmooth.evaluate.ood.scores import LOGIT_SCORES, logit_scores
from vsmooth.evaluate.predict import evaluation_mode, model_device
from vsmooth.evaluate.representation.features import classifier_of, collect

SCORES = (*LOGIT_SCORES, *DETECTORS)


def check_scores(names: Sequence[str]) -> tuple[str, ...]:
    """The names; ``ValueError`` with the nearest one for a score that there is not, and for none."""
    if not names:
        raise ValueError(f"name a score: {', '.join(SCORES)}")
    for name in names:
        if name not in SCORES:
            near = difflib.get_close_matches(name, SCORES, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"unknown score {name!r}; {hint}scores are {', '.join(SCORES)}")
    return tuple(dict.fromkeys(names))


class Scorer:
    """The named scores of a network whose first K logits are its classes.

    All scores from logits come of one forward pass, those that look at activations of the same one; "odin" takes passes
    of its own. ``left_out``: names of scores that do not work for this network, and why; those of reject and virtual
    classes are absent where there are none.

    Args:
        model: in any mode, which it keeps; it is used in eval mode.
        train: batches of training images, which detectors are fitted on; not needed for scores from logits.

    Raises:
        ValueError: an unknown score, or one that must be fitted without ``train``.
        ModuleNotFoundError: pytorch-ood is not installed.
    """

    def __init__(
        self, model: nn.Module, layout: Layout, names: Sequence[str] = SCORES, train: BatchSource | None = None
    ) -> None:
        self.names = check_scores(names)
        self.model, self.layout = model, layout
        self.left_out: dict[str, str] = {}
        self._classifier: nn.Module | None = None
        self._detectors: list[Detector] = []
        wanted = [name for name in self.names if name in DETECTORS]
        if wanted and train is None:
            raise ValueError(f"the score {wanted[0]!r} is fitted on training images: give them")
        if wanted and train is not None:
            self._fit(wanted, train)

    def score(self, batches: BatchSource) -> dict[str, Tensor]:
        """(N,) float64 by name, of images in the order of ``batches``."""
        outputs = forward(self.model, batches.epoch(0), self._classifier)
        own = tuple(name for name in self.names if name in LOGIT_SCORES)
        found = logit_scores(outputs.logits, self.layout, own)
        for detector in tuple(self._detectors):
            try:
                found[detector.name] = self._ask(detector, outputs, batches)
            except ValueError as error:
                self._leave_out(detector, error)
        return {name: found[name] for name in self.names if name in found}

    def _fit(self, wanted: Sequence[str], train: BatchSource) -> None:
        try:
            fitting = Fitting(self.model, collect(self.model, train.epoch(0)))
        except ValueError as error:
            self.left_out |= {name: str(error) for name in wanted}
            return
        self._classifier = classifier_of(self.model)
        for name in wanted:
            try:
                self._detectors.append(Detector(name, fitting))
            except ValueError as error:
                self.left_out[name] = str(error)

    def _ask(self, detector: Detector, outputs: Outputs, batches: BatchSource) -> Tensor:
        if detector.entry.looks_at != "images":
            return detector.score(outputs)
        with evaluation_mode(self.model), torch.enable_grad():
            return score_by_image(detector, batches.epoch(0), model_device(self.model))

    def _leave_out(self, detector: Detector, error: ValueError) -> None:
        self.left_out[detector.name] = str(error)
        self._detectors.remove(detector)
