"""Add virtual classes, train a step, evaluate, remove them: whether a model of another library can do it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsmooth import VirtualSmoothingLoss, add_virtual_classes, remove_virtual_classes
from vsmooth.head import virtual_heads

K, V = 10, 7
Inputs = dict[str, Tensor] | Tensor


class NotFiniteError(Exception):
    """The trained model gives NaN, as some do for two images that are too small: the rest would say nothing."""


@dataclass(frozen=True)
class Outcome:
    """heads: the names of the classifiers. call: what has to be written. refused: the message of the error."""

    heads: tuple[str, ...] = ()
    call: str = ""
    refused: str = ""


def round_trip(build: Callable[[], nn.Module], inputs: Inputs) -> Outcome:
    """What becomes of the model that `build` gives, with K classes.

    Where the message of the first call names another one, that is made. AssertionError where a step goes wrong,
    NotFiniteError for inputs that prove nothing.
    """
    torch.manual_seed(0)
    model = build()
    before = _logits(model.eval(), inputs)
    call = "add_virtual_classes(model)"
    try:
        add_virtual_classes(model, V)
    except ValueError as error:
        named = re.search(r"head=(\"all\"|'[^']+')", str(error))
        if named is None:
            return Outcome(refused=str(error))
        call = f"add_virtual_classes(model, head={named[1]})"
        add_virtual_classes(model, V, head=named[1].strip("\"'"))
    _check_same(before, _logits(model, inputs), "widening changes the real logits")
    _train(model, inputs)
    heads = tuple(name for name, _ in virtual_heads(model))
    trained = _logits(model.eval(), inputs)
    assert all(logits.shape[_class_dimension(logits, K)] == K for logits in trained), (
        "eval mode gives more than K logits"
    )
    if not all(logits.isfinite().all() for logits in trained):
        raise NotFiniteError("NaN after a step of training")
    remove_virtual_classes(model)
    _check_same(trained, _logits(model, inputs), "removal changes the real logits")
    plain = build().eval()
    plain.load_state_dict(model.state_dict(), strict=True)
    _check_same(trained, _logits(plain, inputs), "the plain model with the same weights gives other logits")
    return Outcome(heads, call)


def _train(model: nn.Module, inputs: Inputs) -> None:
    criterion = VirtualSmoothingLoss.for_model(model, 0.3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loss = torch.stack([_loss(criterion, logits) for logits in _forward(model.train(), inputs)]).sum()
    loss.backward()
    for name, head in virtual_heads(model):
        grown = head.weight.grad is not None and head.weight.grad[K:].abs().sum() > 0
        assert grown, f"the virtual rows of {name} get no gradient"
    optimizer.step()


def _loss(criterion: VirtualSmoothingLoss, logits: Tensor) -> Tensor:
    assert K + V in logits.shape, f"train mode gives logits of shape {tuple(logits.shape)}"
    rows = logits.movedim(_class_dimension(logits, K + V), -1).flatten(0, -2)
    return criterion(rows, torch.arange(len(rows)) % K)


def _class_dimension(logits: Tensor, width: int) -> int:
    return 1 if logits.ndim == 4 and logits.shape[1] == width else logits.ndim - 1


def _logits(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    with torch.no_grad():
        return list(_forward(model, inputs))


def _forward(model: nn.Module, inputs: Inputs) -> Iterator[Tensor]:
    outputs: Any = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    if isinstance(outputs, Mapping):
        outputs = outputs.get("logits", outputs.get("out"))
    yield from [outputs] if isinstance(outputs, Tensor) else outputs


def _check_same(expected: list[Tensor], found: list[Tensor], what: str) -> None:
    same = len(expected) == len(found) and all(map(torch.equal, expected, found))
    assert same, what
