"""Scores of outliers: formulas, their direction, one forward pass, eval mode, batch sizes, pytorch-ood, mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsmooth import add_virtual_classes
from vsmooth.data import BatchPlan, ImageSet, Placement, make_batches
from vsmooth.data.batching.batch import BatchSource
from vsmooth.evaluate.ood.detectors import DETECTORS
from vsmooth.evaluate.ood.outputs import Layout, forward
from vsmooth.evaluate.ood.scorer import SCORES, Scorer, check_scores
from vsmooth.evaluate.ood.scores import LOGIT_SCORES, logit_scores

K, R, V = 4, 2, 3


def images(count: int, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 6, 6), generator=generator)
    return ImageSet(pixels.to(torch.uint8), torch.arange(count) % K)


def batches(split: ImageSet, size: int = 16) -> BatchSource:
    return make_batches(split, BatchPlan(size, shuffle=False, drop_last=False), Placement("cpu"))


def network(extra: int = 0) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Flatten(), nn.Linear(108, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5)
    plain = nn.Sequential(*body, nn.Linear(12, K)).eval()
    with torch.no_grad():  # so that it decides for each class now and then
        plain[-1].bias -= plain(images(200).images / 255).mean(0)
    return add_virtual_classes(plain, extra) if extra else plain


def test_logit_scores_are_their_formulas() -> None:
    z = 5 * torch.randn(7, K + R + V, generator=torch.Generator().manual_seed(0))
    found, p = logit_scores(z, Layout(K, R)), z.double().softmax(1)
    real = z[:, :K].double()
    expected = {
        "msp-real": 1 - real.softmax(1).amax(1),
        "msp-all": 1 - p[:, :K].amax(1),
        "energy-real": -real.logsumexp(1),
        "energy-all": -z.double().logsumexp(1),
        "max-logit": -real.amax(1),
        "reject-mass": p[:, K : K + R].sum(1),
        "virtual-mass": p[:, K + R :].sum(1),
    }
    assert found.keys() == expected.keys() == LOGIT_SCORES.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)


def test_without_further_classes_all_is_real_and_their_masses_are_absent() -> None:
    z = torch.randn(5, K)
    found = logit_scores(z, Layout(K))
    assert found.keys() == LOGIT_SCORES.keys() - {"reject-mass", "virtual-mass"}
    assert torch.equal(found["msp-all"], found["msp-real"])
    assert torch.equal(found["energy-all"], found["energy-real"])


def test_sure_networks_do_not_saturate() -> None:
    """In float32 both would have probability 1."""
    z = torch.tensor([[60.0, 0.0, 0.0, 0.0], [90.0, 0.0, 0.0, 0.0]])
    first, second = logit_scores(z, Layout(K))["msp-real"].tolist()
    assert first > second > 0


def test_a_larger_score_is_more_of_an_outlier() -> None:
    """Confident logits against flat ones, and those whose mass is on reject or virtual classes."""
    sure, unsure = torch.zeros(1, K + R + V), torch.zeros(1, K + R + V)
    sure[0, 0], unsure[0, K:] = 9.0, 3.0
    inside, outside = (logit_scores(z, Layout(K, R)) for z in (sure, unsure))
    for name in LOGIT_SCORES.keys() - {"energy-all"}:
        assert outside[name] > inside[name], name


@pytest.mark.parametrize("extra", [0, V])
def test_every_score_of_any_batch_size_and_mode(extra: int) -> None:
    pytest.importorskip("pytorch_ood")
    model = network(extra)
    model.train()
    model[2].eval()  # a frozen BatchNorm keeps its own mode
    modes = [module.training for module in model.modules()]
    statistics = model[2].running_mean.clone()
    train, test = images(240), images(50, seed=1)
    scorer = Scorer(model, Layout(K), train=batches(train))
    found = scorer.score(batches(test))
    assert scorer.left_out == {}
    assert found.keys() == set(SCORES) - {"reject-mass"} - (set() if extra else {"virtual-mass"})
    assert all(values.shape == (50,) and values.dtype == torch.float64 for values in found.values())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[2].running_mean, statistics)
    for size in (7, 50):
        again = Scorer(model.eval(), Layout(K), train=batches(train, size)).score(batches(test, size))
        for name, values in found.items():
            assert again[name].tolist() == pytest.approx(values.tolist(), rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("name", ["mahalanobis", "knn", "vim", "react", "gen", "energy-real", "msp-real", "max-logit"])
def test_scores_agree_with_pytorch_ood_on_the_network(name: str) -> None:
    """Fitted and asked through the network, as that library's users do."""
    detector = pytest.importorskip("pytorch_ood.detector")
    model = network(V).eval()
    backbone, head = model[:-1], model[-1]
    train, test = images(120), images(50, seed=1)
    reference = {
        "mahalanobis": lambda: detector.Mahalanobis(backbone),
        "knn": lambda: detector.KNN(backbone),
        "vim": lambda: detector.ViM(backbone, 6, head.weight[:K], head.bias[:K]),
        "react": lambda: detector.ReAct(backbone, head),
        "gen": lambda: detector.GEN(model),
        "energy-real": lambda: detector.EnergyBased(model),
        "msp-real": lambda: detector.MaxSoftmax(model),
        "max-logit": lambda: detector.MaxLogit(model),
    }[name]()
    with torch.no_grad():
        reference.fit([(batch.images, batch.labels) for batch in batches(train).epoch(0)])
        expected = reference(test.images / 255).double()
    found = Scorer(model, Layout(K), [name], batches(train)).score(batches(test))[name]
    offset = 1 if name == "msp-real" else 0
    torch.testing.assert_close(found - offset, expected, rtol=1e-3, atol=1e-5)


def test_scores_from_logits_cost_one_forward_pass() -> None:
    model, passes = network(V), 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    model.register_forward_hook(count)
    Scorer(model, Layout(K), tuple(LOGIT_SCORES)).score(batches(images(50), 50))
    assert passes == 1


def test_a_constant_network_tells_nothing() -> None:
    from vsmooth.metrics import detection_metrics

    model = network(V)
    nn.init.zeros_(model[-1].weight)
    inside, outside = (Scorer(model, Layout(K), tuple(LOGIT_SCORES)).score(batches(images(20, seed=s))) for s in (0, 1))
    for name in inside:
        assert detection_metrics(inside[name], outside[name])["auroc"] == 0.5


def test_a_detector_that_does_not_work_is_left_out_with_its_reason() -> None:
    pytest.importorskip("pytorch_ood")
    lacking = ImageSet(images(40).images, torch.arange(40) % 2 * 2)  # labels 0 and 2: Mahalanobis wants all classes
    scorer = Scorer(network(), Layout(K), ["mahalanobis", "msp-real"], batches(lacking))
    assert scorer.score(batches(images(5))).keys() == {"msp-real"}
    assert scorer.left_out.keys() == {"mahalanobis"}
    assert "does not work for this network" in scorer.left_out["mahalanobis"]


def test_labels_of_outliers_are_not_looked_at() -> None:
    outliers = ImageSet(images(5).images, torch.full((5,), -1))
    assert len(forward(network(), batches(outliers).epoch(0))) == 5


def broken(value: float) -> nn.Module:
    model = network()
    nn.init.constant_(model[-1].bias, value)
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_scores(["mahalonobis"]), "unknown score 'mahalonobis'; did you mean 'mahalanobis'?"),
        (lambda: check_scores(["zzz"]), "unknown score 'zzz'; scores are msp-real, "),
        (lambda: check_scores([]), "name a score: msp-real"),
        (lambda: Scorer(network(), Layout(K), ["knn"]), "the score 'knn' is fitted on training images: give them"),
        (lambda: forward(network(), []), "there are no images to score"),
        (
            lambda: forward(broken(np.nan), batches(images(3)).epoch(0)),
            "logits of 3 of 3 images hold NaN or Inf; has training diverged",
        ),
        (lambda: forward(network(), [(torch.full((2, 3, 6, 6), 7.0), torch.zeros(2))]), r"images must lie in \[0, 1\]"),
        (lambda: logit_scores(torch.zeros(2, K), Layout(K, 1)), "4 logits are too few for 5 real and reject classes"),
    ],
)
def test_mistakes(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_without_pytorch_ood_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pytorch_ood.detector", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install pytorch-ood \(or "vsmooth\[ood\]"\)'):
        Scorer(network(), Layout(K), ["gen"], batches(images(20)))


def test_every_detector_says_where_it_comes_from() -> None:
    assert all(entry.source and entry.class_name for entry in DETECTORS.values())
    assert isinstance(logit_scores(torch.zeros(1, K), Layout(K))["msp-real"], Tensor)
