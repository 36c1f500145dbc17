"""What holds for every objective that can be typed: its text, its width, its gradient, its limit, and its reference."""

from __future__ import annotations

import pytest
import torch
from finding import found_below
from torch import Tensor
from torch.nn import functional

import vsmooth.losses
from vsmooth.losses import Objective, form_of, parse_objective
from vsmooth.losses.catalogue import CATALOGUE, Entry

CLASSES = 4


def members(entry: Entry) -> list[Objective]:
    """An objective of this name, or one with the value that stands in and one with each of the usual values."""
    template = entry.template()
    usual = template.usual if entry.values else ()
    return list(dict.fromkeys([template, *(template.with_parameter(value) for value in usual)]))


OBJECTIVES = [objective for entry in CATALOGUE.values() for objective in members(entry)]
# Cross entropy over all its logits where the value is 0; what others tend to is in tests/losses/test_rivals.py.
LIMITS = [CATALOGUE["one-hot"].template(), *(e.template() for e in CATALOGUE.values() if e.values and not e.stand_in)]


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


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_the_loss_of_probabilities_is_that_of_each_class_weighted(objective: Objective) -> None:
    """So it makes no difference whether MixUp mixes labels or losses."""
    logits, (hard, soft) = logits_for(objective), hard_and_soft()
    mixed = 0.7 * objective.loss(logits, hard, CLASSES) + 0.3 * objective.loss(logits, (hard + 1) % CLASSES, CLASSES)
    torch.testing.assert_close(objective.loss(logits, soft, CLASSES), mixed)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_ignored_targets_add_nothing(objective: Objective) -> None:
    logits, (hard, _) = logits_for(objective), hard_and_soft()
    some = hard.index_fill(0, torch.tensor([1, 4]), -100)
    loss = objective.loss(logits, some, CLASSES)
    torch.testing.assert_close(loss, objective.loss(logits[[0, 2, 3, 5]], hard[[0, 2, 3, 5]], CLASSES))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[[1, 4]].any()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_classes_may_be_followed_by_other_dimensions(objective: Objective) -> None:
    logits, (hard, _) = logits_for(objective), hard_and_soft()
    whole = objective.loss(logits, hard, CLASSES)
    places = logits.detach().reshape(2, 3, -1).movedim(-1, 1)
    torch.testing.assert_close(objective.loss(places, hard.reshape(2, 3), CLASSES), whole)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_half_precision_is_accumulated_in_float32(objective: Objective) -> None:
    logits, (hard, _) = logits_for(objective), hard_and_soft()
    half = logits.detach().bfloat16().requires_grad_()
    loss = objective.loss(half, hard, CLASSES)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), objective.loss(half.double(), hard, CLASSES), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, half)
    assert gradient.dtype == torch.bfloat16


@pytest.mark.parametrize("objective", OBJECTIVES, ids=named)
def test_certain_predictions_and_two_classes_have_finite_gradients(objective: Objective) -> None:
    """Logits that are so far apart that a softmax in float32 rounds to 0 and 1."""
    width = 2 + objective.num_virtual(2)
    logits = torch.tensor([[60.0, -60.0], [-60.0, 60.0]]).repeat_interleave(2, 0)
    logits = functional.pad(logits, (0, width - 2)).requires_grad_()
    loss = objective.loss(logits, torch.tensor([0, 1, 0, 1]), 2)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("objective", [entry.template() for entry in CATALOGUE.values()], ids=named)
def test_bad_input_is_named(objective: Objective) -> None:
    logits, (hard, soft) = logits_for(objective), hard_and_soft()
    for wrong, targets, message in (
        (logits, hard + 1, "target 4 is out of range"),
        (logits, soft * 2, "probability targets must sum to 1"),
        (logits, hard.double(), "use targets.long"),
        (logits[:, : CLASSES - 1], hard, "logits have 3 classes"),
        (logits, [0, 1], "must be tensors, got Tensor and list"),
    ):
        with pytest.raises(ValueError, match=message):
            objective.loss(wrong, targets, CLASSES)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_says_what_it_is_in_four_short_lines(name: str) -> None:
    about, form = CATALOGUE[name].template().about, form_of(name)
    texts = (about.formula, about.purpose, about.cost, about.source)
    assert all(0 < len(text) <= 90 and "\n" not in text for text in texts)
    for value, _ in CATALOGUE[name].values:
        assert f":{value}" in form
        assert value in f"{about.formula} {about.purpose}".replace("K + V", "V")
