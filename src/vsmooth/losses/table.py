"""The loss for few classes on a CPU, where the time goes to launching operations, not to arithmetic.

With W the (K, C) table whose row k is the label of class k, the sum of the losses is ``-<log_softmax(z), W[y]>``: two
operations with derivatives that torch already has. W[y] is as large as the logits, but those are small here.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from vsmooth.labels import LabelScheme
from vsmooth.losses.closed_form import is_transformed

_MOST_CLASSES = 32
_MOST_LOGITS = 1 << 15


def table_loss(
    logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int, ignore_index: int, reduction: str
) -> Tensor | None:
    """The unweighted mean or sum over (N, C) logits and (N,) indices, or ``None`` where the closed form should do.

    What depends on sizes and options alone is decided once and kept with the table: each check costs a percent here.
    """
    if (
        type(logits) is not Tensor  # a fake or otherwise wrapped one must not meet the real table
        or not logits.is_cpu
        or logits.ndim != 2
        or torch.compiler.is_compiling()
        or is_transformed()
        or torch.get_float32_matmul_precision() != "highest"  # which dot obeys
    ):
        return None
    rows, width = logits.shape
    table = _label_table(scheme, num_classes, rows, width, logits.dtype, ignore_index, reduction)
    if table is None:
        return None
    try:
        labels = table.index_select(0, targets)
        loss = torch.dot(torch.log_softmax(logits, 1).reshape(-1), labels.view(-1))
    except (IndexError, RuntimeError, TypeError):
        return None  # targets ignored, out of range, of another shape or kind: the closed form tells which
    # A logit of -inf (a masked class) times a zero of the table is NaN; the closed form never multiplies them.
    return None if math.isnan(loss.item()) or targets.ndim != 1 else loss


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for later calls, which may want a derivative through it
def _label_table(
    scheme: LabelScheme,
    num_classes: int,
    rows: int,
    width: int,
    dtype: torch.dtype,
    ignore_index: int,
    reduction: str,
) -> Tensor | None:
    """(K, C): row k is the label of class k, negative, over N for a mean; ``None`` where another way is faster."""
    if scheme.redrawn is not None:  # no two samples have the same label
        return None
    few = num_classes <= _MOST_CLASSES and 0 < rows * width <= _MOST_LOGITS
    if not few or dtype not in (torch.float32, torch.float64):
        return None
    if reduction not in ("mean", "sum") or 0 <= ignore_index < num_classes:
        return None
    table = torch.zeros(num_classes, width, dtype=dtype, device="cpu")
    table.fill_diagonal_(1 - scheme.alpha)
    members = scheme.smoothing_slice(num_classes, width)
    size = members.stop - members.start
    if size:
        shares = scheme.smoothing_weights(size) or (1 / size,) * size
        table[:, members] += scheme.alpha * torch.tensor(shares, dtype=dtype, device="cpu")
    return table / -(rows if reduction == "mean" else 1)
