"""What holds for every objective that can be typed: its text, its width, its gradient, and its limit."""

from __future__ import annotations

import pytest
import torch
from finding import found_below
from torch import Tensor
from torch.nn import functional

import vsmooth.losses
from vsmooth.losses import Objective, parse_objective
from vsmooth.losses.catalogue import CATALOGUE, Entry

CLASSES = 4
WITHOUT_LIMIT: set[str] = set()  # names of objectives that are no cross entropy where their parameter is 0


def members(entry: Entry) -> list[Objective]:
    """An objective of this name, or one with parameter 0 and one with each of the usual values."""
    if not entry.values:
        return [entry.make()]
    zero = entry.make(0.0)
    return [zero, *(zero.with_parameter(value) for value in zero.usual)]


OBJECTIVES = [objective for entry in CATALOGUE.values() for objective in members(entry)]
LIMITS = [members(entry)[0] for name, entry in CATALOGUE.items() if name not in WITHOUT_LIMIT]


def named(objective: Objective) -> str:
    return objective.text


def logits_for(objective: Objective) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    width = CLASSES + objective.num_virtual(CLASSES)
    return torch.randn(6, width, generator=generator, dtype=torch.float64, requires_grad=True)


def hard_and_soft() -> tuple[Tensor, Tensor]:
    hard = torch.arange(6) % CLASSES
    other = functional.one_hot((hard + 1) % CLASSES, CLASSES).double()
    return hard, 0.7 * functional.one_hot(hard, CLASSES).double() + 0.3 * other


def test_every_objective_of_the_library_can_be_typed() -> None:
    assert found_below(Objective, vsmooth.losses) == {type(objective) for objective in OBJECTIVES}
    assert all(len(members(entry)) > 1 for entry in CATALOGUE.values() if entry.values)


def test_texts_keys_and_names_tell_objectives_apart() -> None:
    for tell in (lambda x: x.text, lambda x: x.name, lambda x: (x.kind, x.parameter)):
        assert len({tell(objective) for objective in OBJECTIVES}) == len(OBJECTIVES)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_the_text_is_read_back(objective: Objective) -> None:
    assert parse_objective(objective.text) == objective
    assert hash(parse_objective(objective.text)) == hash(objective)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
@pytest.mark.parametrize("soft", [False, True], ids=["classes", "probabilities"])
def test_gradients_are_those_of_the_loss(objective: Objective, soft: bool) -> None:
    targets, logits = hard_and_soft()[soft], logits_for(objective)
    loss = objective.loss(logits, targets, CLASSES)
    assert (loss.shape, loss.dtype) == ((), torch.float64)
    assert torch.autograd.gradcheck(lambda z: objective.loss(z, targets, CLASSES), logits)


@pytest.mark.parametrize("objective", LIMITS, ids=named)
def test_without_a_parameter_or_with_0_it_is_cross_entropy(objective: Objective) -> None:
    hard, soft = hard_and_soft()
    logits = logits_for(objective)
    torch.testing.assert_close(objective.loss(logits, hard, CLASSES), functional.cross_entropy(logits, hard))
    padded = functional.pad(soft, (0, logits.shape[1] - CLASSES))
    torch.testing.assert_close(objective.loss(logits, soft, CLASSES), functional.cross_entropy(logits, padded))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_the_loss_is_the_mean_over_the_batch_and_of_no_order(objective: Objective) -> None:
    logits, (hard, _) = logits_for(objective), hard_and_soft()
    single = [objective.loss(logits[i : i + 1], hard[i : i + 1], CLASSES) for i in range(len(hard))]
    torch.testing.assert_close(objective.loss(logits, hard, CLASSES), torch.stack(single).mean())
