"""Columns and the headline of scripted attacks against sets counted by hand, and of a model made to deceive attacks."""

from __future__ import annotations

import pytest
import torch
from robust_builders import THREAT, numbered_images, one_pixel_model, scripted
from torch import Tensor, nn

from vsmooth.attacks import ThreatModel
from vsmooth.evaluate import Budget, Column, Evaluation, Targets, attack_target, evaluate_robust, paper_columns
from vsmooth.head import add_virtual_classes


def _numbers(stands: Tensor) -> list[int]:
    return stands.nonzero().flatten().tolist()


def test_columns_and_the_headline() -> None:
    images, labels = numbered_images(10, wrong=(9,))
    first, second = scripted(1, 2, label="first"), scripted(2, 3, label="second")
    third, fourth = scripted(1, 4, label="third"), scripted(5, 6, label="fourth")
    columns = (
        Column("A", "real", (first,)),
        Column("B", "real", (second, fourth)),
        Column("C", "real", (third,), on="standing"),
    )
    told: list[tuple[str, str, int, int, int]] = []
    found = evaluate_robust(
        one_pixel_model(), images, labels, columns, THREAT, num_classes=2,
        evaluation=Evaluation(batch_size=4, on_progress=lambda *news: told.append(news)),
    )
    a, b, c = found.columns
    assert _numbers(found.clean) == list(range(9))
    assert _numbers(a.stands) == [0, 3, 4, 5, 6, 7, 8]
    assert _numbers(b.stands) == [0, 1, 4, 7, 8]  # 1 stands here: it is a number of its own
    assert [result.standing for result in b.attacks] == [7, 5]
    assert [a.attacked, b.attacked, c.attacked] == [9, 9, 4]
    assert third.seen == [[0, 4, 7, 8]]  # not 1, which had fallen
    assert fourth.seen == [[0, 1, 4, 5], [6, 7, 8]]
    assert _numbers(c.stands) == _numbers(found.stands) == [0, 7, 8]
    assert torch.equal(found.stands, found.clean & a.stands & b.stands & c.stands)

    moved = (found.images - images).flatten(1).abs().amax(1)
    assert (moved[~found.stands & found.clean] > 0.05).all()
    assert moved[found.stands].max() == moved[9] == 0
    assert THREAT.contains(found.images, images).all()
    assert (one_pixel_model()(found.images).argmax(1) != labels).tolist() == (~found.stands).tolist()
    assert told[:3] == [("A", "first", done, 9, 7) for done in (4, 8, 9)]
    assert [news[:2] for news in told[3:]] == [("B", "second")] * 3 + [("B", "fourth")] * 2 + [("C", "third")]
    assert told[-1] == ("C", "third", 4, 4, 3)


def test_epsilon_0_is_the_clean_accuracy() -> None:
    images, labels = numbered_images(5, wrong=(2,))
    columns = paper_columns(2, 0, ThreatModel(epsilon=0.0), families=("pgd", "cw", "multi-target"))
    found = evaluate_robust(one_pixel_model(), images, labels, columns, ThreatModel(epsilon=0.0), num_classes=2)
    assert _numbers(found.stands) == _numbers(found.clean) == [0, 1, 3, 4]
    assert torch.equal(found.images, images)


def test_what_bf16_leaves_standing_is_attacked_again() -> None:
    images, labels = numbered_images(6)
    coarse, exact = scripted(0, 1, label="coarse"), scripted(2, label="exact", exact=True)
    found = evaluate_robust(
        one_pixel_model(), images, labels, (Column("A", "real", (coarse, exact)), Column("B", "real", (exact, coarse))),
        THREAT, num_classes=2, evaluation=Evaluation(precision="bf16"),
    )
    results = [[(one.attack.name, one.precision, one.standing) for one in column.attacks] for column in found.columns]
    assert results == [
        [("coarse", "bf16", 4), ("coarse", "fp32", 4), ("exact", "fp32", 3)],
        [("exact", "bf16", 6), ("exact", "fp32", 5), ("coarse", "fp32", 3)],
    ]
    assert exact.seen == [[2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
    assert _numbers(found.stands) == [3, 4, 5]


class _Greedy(nn.Module):
    """The one-pixel model, which has memory for so many images."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.model, self.room, self.largest = one_pixel_model(), room, 0

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.largest = max(self.largest, len(images))
        return self.model(images)


def test_a_batch_too_large_for_memory_is_halved() -> None:
    images, labels = numbered_images(20, wrong=(3,))
    model = _Greedy(room=3).eval()
    attack = scripted(5, 6, 19)
    targets = Targets(model, images[:2], num_classes=2)
    found = evaluate_robust(
        model, images, labels, (Column("A", "real", (attack,)),), THREAT, num_classes=2,
        evaluation=Evaluation(batch_size=16, targets=targets),
    )
    assert _numbers(~found.stands) == [3, 5, 6, 19]
    assert max(map(len, attack.seen)) <= 3
    assert model.largest == 2  # 16, 8 and 4 did not fit
    with pytest.raises(torch.OutOfMemoryError):
        evaluate_robust(
            _Greedy(room=0).eval(), images, labels, (Column("A", "real", (attack,)),), THREAT, num_classes=2,
            evaluation=Evaluation(targets=Targets(_Greedy(room=0).eval(), images[:2], num_classes=2)),
        )


def _deceiver(scale: float = 10.0) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear network of 3 classes whose virtual logits are its real ones, `scale` times.

    The cross entropy over all 6 is then about scale * z_y - z_y: climbing it makes the image more correct.
    """
    plain = nn.Linear(12, 3)
    with torch.no_grad():
        plain.weight.copy_(torch.eye(3).repeat_interleave(4, dim=1))
        plain.bias.zero_()
    head = add_virtual_classes(plain, 3)
    with torch.no_grad():
        head.weight[3:] = scale * head.weight[:3]
        head.bias[3:] = 0
    labels = torch.arange(30) % 3
    images = 0.4 + 0.1 * torch.rand(30, 3, 4, generator=torch.Generator().manual_seed(0))
    images[torch.arange(30), labels] += 0.2
    return nn.Sequential(nn.Flatten(), head).eval(), images.reshape(30, 3, 2, 2), labels


def test_a_model_whose_virtual_logits_deceive_attacks_on_all_logits() -> None:
    model, images, labels = _deceiver()
    threat = ThreatModel(epsilon=0.15)  # more than half of the lead of 0.2 +- 0.1
    budget = Budget(own_steps=10, restarts=1)
    columns = paper_columns(3, 3, threat, budget, families=("pgd", "cw", "multi-target", "lambda-sweep"))
    found = evaluate_robust(model, images, labels, columns, threat, num_classes=3)
    standing = {column.name: int(column.stands.sum()) for column in found.columns}
    assert int(found.clean.sum()) == 30
    assert standing["PGD-20 all"] == 30  # looks robust
    assert standing["PGD-20 real"] == standing["CW-20 real"] == 0
    assert int(found.stands.sum()) == 0  # and is not
    # The headline's own attacks need no help from the paper's columns.
    alone = columns[-2:]
    assert [column.name for column in alone] == ["Multi-target PGD", "Lambda sweep"]
    for column in alone:
        assert not evaluate_robust(model, images, labels, (column,), threat, num_classes=3).stands.any()


def test_the_views_are_the_real_and_all_logits() -> None:
    model, images, _ = _deceiver()
    real, every = (attack_target(model, images, view, num_classes=3) for view in ("real", "all"))
    logits = images.flatten(1) @ torch.eye(3).repeat_interleave(4, dim=1).T
    torch.testing.assert_close(real.craft(images), logits)
    torch.testing.assert_close(every.craft(images), torch.cat([logits, 10 * logits], 1))
    torch.testing.assert_close(every.decide(images), logits)
    with pytest.raises(ValueError, match="no virtual classes: attack its real logits"):
        attack_target(one_pixel_model(), images[:, :1], "all", num_classes=2)
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, got 'fp16'"):
        attack_target(model, images, num_classes=3, precision="fp16")  # type: ignore[arg-type]


def test_dropout_is_attacked_in_eval_mode() -> None:
    images, labels = numbered_images(4)
    model = nn.Sequential(nn.Dropout(0.9), one_pixel_model()).train()
    with pytest.warns(UserWarning, match=r"dropout is active \(0\): it is attacked and judged in eval mode"):
        found = evaluate_robust(model, images, labels, (Column("A", "real", (scripted(1),)),), THREAT, num_classes=2)
    assert _numbers(found.stands) == [0, 2, 3]
    assert model.training
    with pytest.warns(UserWarning, match="the model is in train mode"):
        evaluate_robust(
            one_pixel_model().train(), images, labels, (Column("A", "real", (scripted(1),)),), THREAT, num_classes=2
        )


def test_mistakes() -> None:
    images, labels = numbered_images(4)
    model, column = one_pixel_model(), Column("A", "real", (scripted(1),))
    for wrong, theirs, message in (
        (images - 1, labels, r"must lie in \[0, 1\], got -1 to -0.55; the model normalises"),
        ((images * 255).byte(), labels, r"must be floating point"),
        (images, labels + 2, "label 2 at index 0 is outside 0..1"),
        (images, labels[:3], "4 predictions but 3 labels"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_robust(model, wrong, theirs, (column,), THREAT, num_classes=2)
    for columns in ((), (column, column)):
        with pytest.raises(ValueError, match="there must be columns, and each its own name"):
            evaluate_robust(model, images, labels, columns, THREAT, num_classes=2)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Evaluation(batch_size=0)
    with pytest.raises(ValueError, match="'A' has no attacks"):
        Column("A", "real", ())
    with pytest.raises(ValueError, match="view of the column 'A' must be one of real, all, got 'both'"):
        Column("A", "both", (scripted(1),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown attack 'pdg': choose from pgd, cw"):
        paper_columns(4, 0, THREAT, families=("pdg",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing is left to attack with: lambda-sweep"):
        paper_columns(4, 0, THREAT, families=("lambda-sweep",))
    with pytest.raises(ValueError, match="queries must be at least 1, got 0"):
        Budget(queries=0)
    with pytest.raises(ValueError, match="lambdas must name at least one"):
        Budget(lambdas=())


def test_columns_of_the_paper() -> None:
    pytest.importorskip("pyautoattack")
    columns = {column.name: column for column in paper_columns(10, 10, ThreatModel())}
    assert list(columns) == [
        "PGD-20 real", "CW-20 real", "AA real", "PGD-20 all", "CW-20 all", "AA all", "AA+ all",
        "Multi-target PGD", "Lambda sweep",
    ]
    assert columns["PGD-20 real"].attacks[0].settings()["step_size"] == pytest.approx(0.00784, abs=1e-5)
    targets = {name: columns[name].attacks[1].settings()["targets"] for name in ("AA real", "AA all", "AA+ all")}
    assert targets == {"AA real": 9, "AA all": 9, "AA+ all": 19}
    many = {column.name: column for column in paper_columns(100, 0, ThreatModel(), on="standing")}
    assert [column.on for column in many.values()] == ["standing"] * len(many)
    assert many["AA real, all targets"].attacks[1].settings()["targets"] == 99
    assert "AA real, all targets" not in {column.name for column in paper_columns(200, 0, ThreatModel())}
