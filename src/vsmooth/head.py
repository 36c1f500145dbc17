"""The head: K real classes and V virtual ones in training, K in inference."""

# torch.jit.script reads the annotations of the heads as types, so they are not postponed in this file.

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth.classifier import find_classifier

Module = TypeVar("Module", bound=nn.Module)
LogitSet = Literal["real", "all"]  # the K of the real classes, or all K + V


class VirtualHead:
    """What :class:`VirtualLinear` and :class:`VirtualConv2d` share; rows ``0..K-1`` of the weight are the real classes.

    ``num_classes`` is K, ``num_virtual`` is V. In train mode, or within :func:`all_logits`, the output has K + V
    channels; in eval mode K, and the virtual rows are not computed.

    ``offset`` is added to the virtual logits: 0, or log V where one row stands for V collapsed classes.
    """

    training: bool
    num_classes: int
    num_virtual: int
    offset: float
    keep_virtual: bool

    def _used(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.training or self.keep_virtual:
            return weight, self.with_offset(weight, bias)
        return weight[: self.num_classes], None if bias is None else bias[: self.num_classes]

    def with_offset(self, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """The bias of all K + V rows, with the offset of the virtual ones."""
        if self.offset == 0.0:
            return bias
        own = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return torch.cat((own[: self.num_classes], own[self.num_classes :] + self.offset))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """As torch does, with a remedy where the weights have another number of virtual classes."""
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        weight = state_dict.get(f"{prefix}weight")
        if isinstance(weight, Tensor) and weight.ndim and len(weight) != self.num_classes + self.num_virtual:
            error_msgs.append(self._explain_rows(f"{prefix}weight", len(weight)))

    def _explain_rows(self, name: str, rows: int) -> str:
        here = f"{name} has {rows} rows, but this head has {self.num_classes} real and {self.num_virtual} virtual ones"
        if rows == self.num_classes:
            return f"{here}: load weights without virtual classes before add_virtual_classes(model)"
        if rows > self.num_classes:
            fits = rows - self.num_classes
            return f"{here}: remove_virtual_classes(model), then add_virtual_classes(model, {fits}), then load"
        return f"{here}: the weights are of a model with fewer classes"

    def extra_repr(self) -> str:
        collapsed = f", offset={self.offset:.4g}" if self.offset else ""
        return f"num_classes={self.num_classes}, num_virtual={self.num_virtual}{collapsed}"


class VirtualLinear(VirtualHead, nn.Linear):
    """A ``Linear`` classifier with V virtual classes: (..., D) -> (..., K + V) in train mode, (..., K) in eval mode."""

    def __init__(self, plain: nn.Linear, num_virtual: int, offset: float = 0.0) -> None:
        nn.Linear.__init__(self, plain.in_features, plain.out_features + num_virtual, plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)
        self.offset = offset

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Linear:
        """An ordinary K-way ``Linear`` with the real rows."""
        empty = nn.Linear(self.in_features, self.num_classes, self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


class VirtualConv2d(VirtualHead, nn.Conv2d):
    """A 1x1 ``Conv2d`` classifier with V virtual classes: (N, D, H, W) -> (N, K + V, H, W), K in eval mode."""

    def __init__(self, plain: nn.Conv2d, num_virtual: int, offset: float = 0.0) -> None:
        nn.Conv2d.__init__(self, plain.in_channels, plain.out_channels + num_virtual, 1, bias=plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)
        self.offset = offset

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Conv2d:
        """An ordinary K-way 1x1 ``Conv2d`` with the real rows."""
        empty = nn.Conv2d(self.in_channels, self.num_classes, 1, bias=self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


def add_virtual_classes(
    model: Module, num_virtual: int | None = None, head: str | nn.Module | None = None, *, collapsed: bool = False
) -> Module | VirtualLinear | VirtualConv2d:
    """Give the classifier of ``model`` V virtual classes, in place.

    The model then returns K + V logits in train mode and K in eval mode, at the cost of the plain model. The rows of
    the real classes are kept bit for bit, so a pretrained model can be fine-tuned; virtual rows start as a fresh
    layer would. Add the classes before building the optimizer: the classifier's parameters are new objects.

    Args:
        model: any module whose classifier is one ``Linear`` or 1x1 ``Conv2d``. If ``model`` is that layer itself, the
            new layer is returned.
        num_virtual: V; ``None`` means V = K.
        head: the classifier, as a module or as a name from ``model.named_modules()``; needed only where it cannot be
            found automatically.
        collapsed: one row in place of V equal ones, with log V added to its logit; for
            ``VirtualSmoothing(alpha, num_virtual, collapsed=True)``.

    Returns:
        ``model``, changed in place.

    Raises:
        ValueError: V < 1; no classifier found, or several candidates (the message lists them); the model already has
            virtual classes; a classifier that a plain layer cannot replace because it computes something else, has
            parameters or buffers besides weight and bias (LoRA), shares its weight or has hooks.

    Warns:
        UserWarning: the classifier is frozen, so its virtual rows stay at their random initial values.
    """
    whole = isinstance(num_virtual, int) and not isinstance(num_virtual, bool)
    if num_virtual is not None and (not whole or num_virtual < 1):
        raise ValueError(f"num_virtual must be a whole number of at least 1 (or None for V = K), got {num_virtual!r}")
    if virtual_heads(model):
        raise ValueError("the model has virtual classes already; remove_virtual_classes(model) takes them off")
    name, plain = find_classifier(model, head)
    if type(plain) not in (nn.Linear, nn.Conv2d):
        _check_same_map(plain)
    _warn_if_frozen(name, plain)
    count = num_virtual or plain.weight.shape[0]
    rows, offset = (1, math.log(count)) if collapsed else (count, 0.0)
    kind = VirtualLinear if isinstance(plain, nn.Linear) else VirtualConv2d
    wide = kind(plain, rows, offset)  # type: ignore[arg-type]
    return _replace(model, name, wide)


def remove_virtual_classes(model: Module) -> Module | nn.Linear | nn.Conv2d:
    """Give back an ordinary K-way model, in place: its state dict loads into the plain architecture.

    The real logits are bit-equal to those of the wide model in eval mode.

    Raises:
        ValueError: the model has no virtual classes.
    """
    name, wide = _only_head(model)
    return _replace(model, name, wide.plain())


@contextmanager
def all_logits(model: nn.Module) -> Iterator[nn.Module]:
    """A context in which ``model`` returns all K + V logits in eval mode too (attacks, analysis, a validation loss).

    Raises:
        ValueError: the model has no virtual classes.
    """
    _, wide = _only_head(model)
    before = wide.keep_virtual
    wide.keep_virtual = True
    try:
        yield model
    finally:
        wide.keep_virtual = before


def virtual_heads(model: nn.Module) -> list[tuple[str, VirtualLinear | VirtualConv2d]]:
    """Names and modules of the heads with virtual classes; works through DDP and ``torch.compile`` wrappers."""
    return [(n, m) for n, m in model.named_modules() if isinstance(m, VirtualLinear | VirtualConv2d)]


def _only_head(model: nn.Module) -> tuple[str, VirtualLinear | VirtualConv2d]:
    found = virtual_heads(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("torch.jit has compiled the model: use all_logits or remove_virtual_classes before that")
    if not found:
        raise ValueError(f"{type(model).__name__} has no virtual classes; add them with add_virtual_classes(model)")
    if len(found) > 1:
        listed = ", ".join(repr(name) for name, _ in found)
        raise ValueError(f"{type(model).__name__} has more than one head with virtual classes: {listed}; pass one")
    return found[0]


@torch.no_grad()
def _copy_real_rows(wide: VirtualLinear | VirtualConv2d, plain: nn.Linear | nn.Conv2d, num_virtual: int) -> None:
    wide.num_classes, wide.num_virtual, wide.keep_virtual = plain.weight.shape[0], num_virtual, False
    wide.to(plain.weight.device, plain.weight.dtype)
    wide.weight[: wide.num_classes] = plain.weight
    wide.weight.requires_grad_(plain.weight.requires_grad)
    if wide.bias is not None and plain.bias is not None:
        wide.bias[: wide.num_classes] = plain.bias
        wide.bias.requires_grad_(plain.bias.requires_grad)
    wide.train(plain.training)


def _warn_if_frozen(name: str, plain: nn.Linear | nn.Conv2d) -> None:
    frozen = [own for own, parameter in plain.named_parameters() if not parameter.requires_grad]
    if frozen:
        warnings.warn(
            f"the {' and '.join(frozen)} of the classifier {name!r} will not be trained, so the virtual rows would "
            "stay at random values; call requires_grad_(True) on the classifier",
            stacklevel=3,
        )


@torch.no_grad()
def _check_same_map(plain: nn.Linear | nn.Conv2d) -> None:
    """A subclass may compute something else, such as cosines, which the wide layer would not."""
    probe = plain.weight[:1] + 1
    copy = (VirtualLinear(plain, 1) if isinstance(plain, nn.Linear) else VirtualConv2d(plain, 1)).plain()
    if not probe.is_meta and not torch.equal(plain.forward(probe), copy.forward(probe)):
        raise ValueError(
            f"the classifier is a {type(plain).__name__}, which computes something else than a plain layer: "
            "virtual classes would change its real logits"
        )


Plain = TypeVar("Plain", nn.Linear, nn.Conv2d)


def _with_real_rows(empty: Plain, wide: VirtualLinear | VirtualConv2d) -> Plain:
    real = wide.num_classes
    empty.weight = nn.Parameter(wide.weight.detach()[:real].clone(), wide.weight.requires_grad)
    if wide.bias is not None:
        empty.bias = nn.Parameter(wide.bias.detach()[:real].clone(), wide.bias.requires_grad)
    return empty.train(wide.training)


def _replace(model: Module, name: str, new: nn.Module) -> Module:
    if not name:
        return new  # type: ignore[return-value]
    model.set_submodule(name, new)
    return model
