"""A check before training: mistakes that raise no error, and that a falling loss would not show."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vsmooth.head import VirtualConv2d, VirtualLinear, shared_classes, virtual_heads

Criterion = Callable[[Tensor, Tensor], Tensor]
_SMALLEST_SHARE = 1e-4  # of a label; rounding is far below


def check(
    model: nn.Module,
    criterion: Criterion | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    accuracy: Callable[[Tensor, Tensor], Any] | None = None,
) -> None:
    """Raise where training ``model`` would go wrong without an error; call it once, before the first step.

    Args:
        model: with virtual classes, as it will be trained.
        criterion: module or function of (logits, targets); it is called with a few random logits.
        optimizer: over the parameters of ``model``.
        accuracy: function or torchmetrics module of (logits, targets) that is used on logits in train mode. It is
            called on a copy, with images that a K-way classifier gets right.

    Raises:
        ValueError: lists what was found. Model: no virtual classes; a frozen head; a head in eval mode within a model
            in train mode; a head within an adapter. Criterion: no share of the label on the virtual classes (a plain
            cross entropy over K + V logits); a share on the wrong real classes (label smoothing on top); another K.
            Optimizer: built before ``add_virtual_classes``. Accuracy: predicts virtual classes.

    Limits: a criterion is judged by its gradient ``softmax(z) - label``, so one that is no cross entropy is not judged.
    The state of torch's random generator is left as it is.
    """
    heads = [(name, head) for name, head in virtual_heads(model) if ".original_module" not in f".{name}"]
    if not heads:
        raise ValueError("check: the model has no virtual classes; add_virtual_classes(model) adds them")
    mistakes = [*_of_heads(model, heads), *_of_optimizer(heads, optimizer)]
    if not heads[0][1].weight.is_meta:
        with torch.random.fork_rng(devices=[]):
            mistakes += [*_of_criterion(model, criterion), *_of_accuracy(model, accuracy)]
    if mistakes:
        raise ValueError("check: " + "; ".join(mistakes))


Heads = list[tuple[str, VirtualLinear | VirtualConv2d]]


def _of_heads(model: nn.Module, heads: Heads) -> Iterator[str]:
    for name, head in heads:
        frozen = [own for own, parameter in head.named_parameters() if not parameter.requires_grad]
        if frozen:
            yield f"the {' and '.join(frozen)} of head {name!r} will not be trained: requires_grad_(True)"
        if model.training and not head.training:
            yield f"head {name!r} is in eval mode, so it gives K logits and no virtual ones: call train() on it"
        if f".{name}".endswith(".base_layer"):
            yield (
                f"head {name!r} is within an adapter, which fails in eval mode: put the classifier in modules_to_save, "
                "not in target_modules"
            )


def _of_optimizer(heads: Heads, optimizer: torch.optim.Optimizer | None) -> Iterator[str]:
    if optimizer is None:
        return
    known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for name, head in heads:
        if any(parameter.requires_grad and id(parameter) not in known for parameter in head.parameters()):
            yield (
                f"the optimizer does not have the parameters of head {name!r}: build it after "
                "add_virtual_classes(model), from all parameters"
            )


def _of_criterion(model: nn.Module, criterion: Criterion | None) -> Iterator[str]:
    if criterion is None:
        return
    real, virtual = shared_classes(model)
    if (classes := getattr(criterion, "num_classes", real)) != real:
        yield f"the criterion has num_classes={classes}, but the model {real} real classes"
    if isinstance(criterion, nn.Module) and not criterion.training:
        criterion = copy.deepcopy(criterion).train()
    try:
        label = _label_of(criterion, real, virtual, next(head for _, head in virtual_heads(model)).weight.device)
    except (ValueError, IndexError, RuntimeError) as error:
        yield f"the criterion does not take {real} + {virtual} logits ({str(error).partition(chr(10))[0]})"
        return
    except TypeError:  # another signature than (logits, targets)
        return
    if label is None:
        return
    if label[1:real].abs().max() > _SMALLEST_SHARE:
        yield (
            "the criterion puts a share of the label on the wrong real classes: switch label smoothing off, virtual "
            "smoothing takes its place"
        )
    if label[real:].abs().max() <= _SMALLEST_SHARE and getattr(getattr(criterion, "scheme", None), "alpha", 1) != 0:
        yield (
            "the criterion puts no share of the label on the virtual classes, as a plain cross entropy over all K + V "
            "logits: use VirtualSmoothingLoss.for_model(model, alpha)"
        )


def _label_of(criterion: Criterion, real: int, virtual: int, device: torch.device) -> Tensor | None:
    """The label (K + V,) of class 0, ``softmax(z) - d loss / d z``; ``None`` if it depends on z: no cross entropy."""
    first, second = (_label_at(criterion, real + virtual, seed, device) for seed in (0, 1))
    return first if torch.allclose(first, second, atol=_SMALLEST_SHARE / 2, rtol=0.05) else None


def _label_at(criterion: Criterion, width: int, seed: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, width, generator=generator).to(device).requires_grad_()
    with torch.enable_grad():
        loss = criterion(logits, torch.zeros(1, dtype=torch.long, device=device)).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
    return (logits.softmax(1) - gradient)[0].detach()


def _of_accuracy(model: nn.Module, accuracy: Callable[[Tensor, Tensor], Any] | None) -> Iterator[str]:
    """All images are right by their real logits, and a virtual logit is larger still."""
    if accuracy is None:
        return
    real, virtual = shared_classes(model)
    targets = torch.arange(real)
    logits = torch.cat([torch.eye(real), 2 * torch.ones(real, virtual)], 1)
    device = virtual_heads(model)[0][1].weight.device
    remedy = f"give it the real logits, logits[:, :{real}]"
    try:
        found = float(copy.deepcopy(accuracy)(logits.to(device), targets.to(device)))
        plain = float(copy.deepcopy(accuracy)(logits[:, :real].to(device), targets.to(device)))
    except (ValueError, IndexError, RuntimeError) as error:
        yield f"the accuracy does not take {real} + {virtual} logits ({str(error).partition(chr(10))[0]}): {remedy}"
        return
    if found != plain:
        yield f"the accuracy predicts virtual classes ({found:g} instead of {plain:g} on a test): {remedy}"
