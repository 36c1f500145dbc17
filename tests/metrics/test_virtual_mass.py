"""Diagnostics of the virtual classes: the softmax and scipy as references, the optimum of the loss, verdicts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.stats import entropy
from torch import Tensor

from vsmooth.labels import VirtualSmoothing
from vsmooth.metrics import (
    VirtualDiagnostics,
    mass_verdict,
    template_distances,
    virtual_diagnostics,
    virtual_entropy,
    virtual_mass,
    virtual_top,
)


def random_logits(samples: int = 50, real: int = 4, virtual: int = 3) -> Tensor:
    return 4 * torch.randn(samples, real + virtual, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def optimal(scheme: VirtualSmoothing, classes: int = 4) -> VirtualDiagnostics:
    """Logits at the optimum of the loss: the log of the very label, with hardly anything on the wrong classes."""
    target = scheme.encode(torch.arange(classes), classes).clamp(min=1e-6)
    virtual = target.shape[1] - classes
    rows = torch.randn(classes + virtual, 5, generator=torch.Generator().manual_seed(1))
    return virtual_diagnostics(target.log(), rows[:classes], rows[classes:], scheme.alpha, scheme.distribution)


def test_mass_entropy_and_top_agree_with_the_softmax() -> None:
    logits = random_logits()
    soft = logits.softmax(1)
    torch.testing.assert_close(virtual_mass(logits, 4), soft[:, 4:].sum(1))
    expected = entropy(soft[:, 4:].numpy(), axis=1) / math.log(3)
    assert virtual_entropy(logits, 4).numpy() == pytest.approx(expected)
    assert virtual_top(logits, 4).tolist() == (soft.argmax(1) >= 4).tolist()


def test_by_hand() -> None:
    logits = torch.tensor([[0.6, 0.2, 0.1, 0.1], [0.25, 0.25, 0.5, 1e-30]], dtype=torch.float64).log()
    assert virtual_mass(logits, 2).tolist() == pytest.approx([0.2, 0.5])
    assert virtual_entropy(logits, 2).tolist() == pytest.approx([1, 0])
    assert virtual_top(logits, 2).tolist() == [False, True]
    assert virtual_top(torch.zeros(1, 4), 2).tolist() == [False]  # a tie counts as real


def test_large_logits_neither_overflow_nor_lose_the_mass() -> None:
    assert virtual_mass(torch.tensor([[1e4, 1e4 + math.log(3)]]), 1).tolist() == pytest.approx([0.75], abs=1e-3)
    assert virtual_mass(torch.tensor([[-1e4, 1e4]]), 1).tolist() == [1]


@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("virtual", [1, 4])
def test_the_optimum_of_the_loss_is_healthy(alpha: float, virtual: int) -> None:
    found = optimal(VirtualSmoothing(alpha, virtual))
    assert found.mass_mean == pytest.approx(alpha, abs=1e-5)
    assert found.mass_std == pytest.approx(0, abs=1e-5)
    assert found.entropy == (None if virtual == 1 else pytest.approx(1))
    assert mass_verdict(found).startswith("The virtual classes are as their label asks: mean mass")


def test_an_uneven_label_asks_for_uneven_shares() -> None:
    found = optimal(VirtualSmoothing(0.4, distribution=(0.9, 0.1)))
    assert found.entropy == pytest.approx(entropy([0.9, 0.1]) / math.log(2), abs=1e-4)
    assert "are as their label asks" in mass_verdict(found)
    assert "do not share it as the label does (evenness 1.000)" in mass_verdict(replace(found, label_entropy=1.0))


def test_verdicts_name_what_is_amiss() -> None:
    healthy = optimal(VirtualSmoothing(0.3, 4))
    assert "less than alpha" in mass_verdict(replace(healthy, mass_mean=0.02))
    assert "more than alpha" in mass_verdict(replace(healthy, mass_mean=0.7))
    assert "largest logit on 20.0% of the samples" in mass_verdict(replace(healthy, top_share=0.2))
    assert mass_verdict(replace(healthy, mass_mean=0.7, top_share=0.2)).count(";") == 1
    # One virtual class with alpha .9 is above the correct one by the label itself.
    assert optimal(VirtualSmoothing(0.9, 1)).top_share == 1


def test_template_distances_agree_with_scipy() -> None:
    rows = torch.randn(7, 5, generator=torch.Generator().manual_seed(2))
    real, virtual = rows[:4], rows[4:]
    found = template_distances(real, virtual)
    assert found.real_real == pytest.approx(pdist(real.numpy()).mean(), abs=1e-6)
    assert found.real_virtual == pytest.approx(cdist(real.numpy(), virtual.numpy()).mean(), abs=1e-6)
    assert found.virtual_virtual == pytest.approx(pdist(virtual.numpy()).mean(), abs=1e-6)
    assert template_distances(real, virtual[:1]).virtual_virtual is None


def test_bad_input_is_named() -> None:
    logits = random_logits()
    with pytest.raises(ValueError, match=r"7 columns for 7 real classes: .*all_logits\(model\)"):
        virtual_mass(logits, 7)
    with pytest.raises(ValueError, match="logits of sample 4 hold NaN or Inf"):
        virtual_mass(logits.index_fill(0, torch.tensor(4), float("inf")), 4)
    with pytest.raises(ValueError, match="one virtual class has no entropy"):
        virtual_entropy(logits, 6)
    with pytest.raises(ValueError, match="logits have 7 columns for 4 real and 2 virtual templates"):
        virtual_diagnostics(logits, torch.randn(4, 2), torch.randn(2, 2), 0.1)
    with pytest.raises(ValueError, match="distribution has 2 numbers for 3 virtual classes"):
        virtual_diagnostics(logits, torch.randn(4, 2), torch.randn(3, 2), 0.1, (0.5, 0.5))
    with pytest.raises(ValueError, match="one width, got 2 and 3"):
        template_distances(torch.randn(4, 2), torch.randn(2, 3))
