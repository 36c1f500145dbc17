"""The one loss: cross entropy against one-hot, label-smoothing or virtual-smoothing labels, in closed form.

With S the smoothing set of the scheme, y the target over the K real classes and u the distribution over S,

    loss = logsumexp(z) - (1 - alpha) * <y, z_real> - alpha * <u, z_S>
    d loss / d z = softmax(z) - (1 - alpha) * y - alpha * u

so the (N, K + V) target is never built.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from vsmooth.labels import LabelScheme, VirtualSmoothing, check_num_classes
from vsmooth.losses.closed_form import ClosedForm, closed_form, wide
from vsmooth.losses.rows import IGNORED, as_rows, check_tensors
from vsmooth.losses.table import table_loss

Reduction = Literal["none", "mean", "sum"]


def smoothed_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    scheme: LabelScheme,
    num_classes: int,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy of ``logits`` against the labels that ``scheme`` makes of ``targets``.

    ``loss_i = logsumexp(z_i) - (1 - alpha) * z_i[y_i] - alpha * <u, z_i[S]>``

    Args:
        logits: (N, C, d1, ...) or (C,); C = K for OneHot and LabelSmoothing, K + V for VirtualSmoothing, where V
            is read from the width. float16 and bfloat16 are accumulated in float32.
        targets: class indices (N, d1, ...), integers, or probabilities over the real classes (N, K, d1, ...),
            floating point, for instance from mixup or CutMix.
        scheme: the label scheme.
        num_classes: K, the number of real classes.
        weight: rescaling per class. (K,): as in ``torch.nn.functional.cross_entropy``; a virtual class takes the
            weight of the sample's true class, so that weighting leaves alpha as it is. (K + V,): torch's meaning
            for K + V classes, each virtual class with its own weight.
        ignore_index: index targets of this value add nothing to the loss or its gradient (index targets only).
        reduction: "none" (shape of the targets without the class dimension), "sum", or "mean": over the samples
            that are not ignored, weighted by the weight of their class; for probability targets over all samples.
            As in torch, the mean over no sample is NaN.

    Returns:
        The loss, float32 for half-precision logits, else the dtype of ``logits``.

    Raises:
        ValueError: a width that does not fit the scheme, a target out of range, float indices, probabilities that
            do not sum to 1, a weight of another length. On an accelerator the values of the targets are not
            checked (it would stall the device), only their shapes and dtypes.

    Limits: ``LabelSmoothing(a)`` equals ``F.cross_entropy(..., label_smoothing=a)``; ``VirtualSmoothing(0)`` is cross
    entropy over K + V logits; all equal ``F.cross_entropy(logits, scheme.encode(targets, K))``.
    Source: the paper (AAAI 2025), Eq. 4.
    """
    check_options(scheme, num_classes, reduction, weight)
    return compute_loss(logits, targets, scheme, num_classes, weight, ignore_index, reduction)


def compute_loss(
    logits: Tensor,
    targets: Tensor,
    scheme: LabelScheme,
    num_classes: int,
    weight: Tensor | None,
    ignore_index: int,
    reduction: Reduction,
) -> Tensor:
    """:func:`smoothed_cross_entropy` after its check of the options, which costs as much as a loss of few classes."""
    if weight is None:
        loss = table_loss(logits, targets, scheme, num_classes, ignore_index, reduction)
        if loss is not None:
            return loss
    check_options(scheme, num_classes, reduction, weight)  # attributes of a module may have changed since it was made
    check_tensors(logits, targets)
    if logits.ndim == 1:
        one = compute_loss(logits[None], targets[None], scheme, num_classes, weight, ignore_index, reduction)
        return one.squeeze(0) if reduction == "none" else one
    rows, flat, members = as_rows(logits, targets, scheme, num_classes, ignore_index)
    form = ClosedForm(num_classes, scheme.alpha, members.start, members.stop)
    per_row, divisor = _weighted(rows, flat, scheme, form, weight, ignore_index)
    return _reduce(per_row, divisor, reduction, (logits.shape[0], *logits.shape[2:]))


def virtual_smoothing_loss(
    logits: Tensor,
    targets: Tensor,
    num_classes: int,
    alpha: float,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
) -> Tensor:
    """``smoothed_cross_entropy`` with ``VirtualSmoothing(alpha)``; V is the width of the logits minus K."""
    return smoothed_cross_entropy(
        logits,
        targets,
        VirtualSmoothing(alpha),
        num_classes,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def check_options(scheme: LabelScheme, num_classes: int, reduction: str, weight: Tensor | None) -> None:
    """Raise ``ValueError`` for options that no logits could fit."""
    check_num_classes(num_classes)
    if not isinstance(scheme, LabelScheme):
        raise ValueError(f"scheme must be OneHot(), LabelSmoothing(alpha) or VirtualSmoothing(alpha), got {scheme!r}")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if weight is not None and not isinstance(weight, Tensor):
        raise ValueError(f"weight must be a tensor, got {type(weight).__name__}: use torch.tensor(weight)")


def _weighted(
    rows: Tensor,
    targets: Tensor,
    scheme: LabelScheme,
    form: ClosedForm,
    weight: Tensor | None,
    ignore_index: int,
) -> tuple[Tensor, Tensor | None]:
    """Loss of each row and the divisor of the mean (``None``: the number of rows)."""
    by_index = not targets.is_floating_point()
    shares = scheme.smoothing_shares(len(rows), form.stop - form.start, wide(rows.dtype), rows.device)
    kept = targets != ignore_index if by_index else None
    safe = targets if kept is None else targets.where(kept, 0)
    if weight is None:
        per_row = closed_form(rows, safe, form, shares=shares)
        return (per_row, None) if kept is None else (per_row.where(kept, 0), kept.sum())
    weight = _check_weight(weight, form.num_classes, rows)
    real = weight[: form.num_classes]
    whole_row = form.start > 0 and len(weight) == form.num_classes  # virtual classes weigh what the sample weighs
    if form.stop > form.start and not whole_row:
        members = weight[form.start : form.stop]
        shares = members * (1 / len(members) if shares is None else shares)
    if kept is None:
        safe = safe * real
        return closed_form(rows, safe, form, rest_scale=safe.sum(1) if whole_row else None, shares=shares), None
    own = real[safe]
    if whole_row:
        per_row = closed_form(rows, safe, form, shares=shares) * own
    else:
        per_row = closed_form(rows, safe, form, own, shares=shares)
    return per_row.where(kept, 0), own.where(kept, 0).sum()


def _check_weight(weight: Tensor, num_classes: int, rows: Tensor) -> Tensor:
    if weight.shape not in {(num_classes,), (rows.shape[1],)}:
        wanted = sorted({num_classes, rows.shape[1]})
        raise ValueError(f"weight has shape {tuple(weight.shape)}, expected one number per class: {wanted}")
    return weight.to(rows.device, wide(rows.dtype))


def _reduce(per_row: Tensor, divisor: Tensor | None, reduction: Reduction, places: tuple[int, ...]) -> Tensor:
    if reduction == "none":
        return per_row.reshape(places)
    if reduction == "sum":
        return per_row.sum()
    return per_row.mean() if divisor is None else per_row.sum() / divisor
