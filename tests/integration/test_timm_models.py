from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsmooth import VirtualSmoothingLoss, add_virtual_classes, remove_virtual_classes
from vsmooth.head import virtual_heads

timm = pytest.importorskip("timm")

K, V, BATCH = 10, 7, 4
ALL_STAGES_ONE_BLOCK = {"depths": (1, 1, 1, 1)}

# name, image size, arguments that make it small, where its classifier is
ARCHITECTURES: list[tuple[str, int, dict[str, Any], str]] = [
    ("resnet10t", 32, {}, "fc"),
    ("resnext26ts", 64, {}, "head.fc"),
    ("seresnext26ts", 64, {}, "head.fc"),
    ("resnest14d", 32, {}, "fc"),
    ("resnetv2_50", 64, {"layers": (1, 1, 1, 1)}, "head.fc"),  # a 1x1 convolution
    ("res2net50_14w_8s", 64, {"layers": [1, 1, 1, 1]}, "fc"),
    ("nf_regnet_b0", 64, {}, "head.fc"),
    ("densenet121", 64, {"block_config": (2, 2, 2, 2)}, "classifier"),
    ("mobilenetv2_035", 64, {}, "classifier"),
    ("mobilenetv3_small_050", 64, {}, "classifier"),
    ("mobilenetv4_conv_small_035", 64, {}, "classifier"),
    ("efficientnet_lite0", 64, {}, "classifier"),
    ("lcnet_035", 64, {}, "classifier"),
    ("semnasnet_075", 64, {}, "classifier"),
    ("regnetx_002", 64, {}, "head.fc"),
    ("regnety_002", 64, {}, "head.fc"),
    ("ghostnet_050", 64, {}, "classifier"),
    ("repghostnet_050", 64, {}, "classifier"),
    ("repvgg_a0", 32, {}, "head.fc"),
    ("gernet_s", 64, {}, "head.fc"),
    ("hgnetv2_b0", 64, {}, "head.fc"),
    ("hrnet_w18_small", 64, {}, "classifier"),
    ("dla46_c", 64, {}, "fc"),  # a 1x1 convolution
    ("dpn48b", 64, {}, "classifier"),  # a 1x1 convolution
    ("xception41", 64, {}, "head.fc"),
    ("ese_vovnet19b_slim", 64, {}, "head.fc"),
    ("cs3darknet_s", 64, {}, "head.fc"),
    ("rexnet_100", 64, {}, "head.fc"),
    ("legacy_seresnet18", 32, {}, "last_linear"),
    ("convnext_atto", 32, {}, "head.fc"),
    ("inception_next_atto", 64, {}, "head.fc2"),
    ("starnet_s1", 64, {}, "head"),
    ("mambaout_femto", 64, {}, "head.fc"),
    ("fastvit_t8", 64, {}, "head.fc"),
    ("edgenext_xx_small", 64, {}, "head.fc"),
    ("mobilevit_xxs", 64, {}, "head.fc"),
    ("poolformer_s12", 32, {}, "head.fc"),
    ("efficientvit_b0", 64, {}, "head.classifier.4"),
    ("efficientvit_m0", 64, {"img_size": 64}, "head.linear"),
    ("shvit_s1", 64, {}, "head.l"),
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2}, "head"),
    ("eva02_tiny_patch14_224", 28, {"img_size": 28, "depth": 2}, "head"),
    ("cait_xxs24_224", 32, {"img_size": 32, "depth": 2}, "head"),
    ("xcit_nano_12_p16_224", 32, {"img_size": 32, "depth": 2}, "head"),
    ("swin_tiny_patch4_window7_224", 64, {"img_size": 64, "window_size": 2, "embed_dim": 24}, "head.fc"),
    ("twins_svt_small", 64, {"img_size": 64, **ALL_STAGES_ONE_BLOCK}, "head"),
    ("pit_ti_224", 64, {"img_size": 64}, "head"),
    ("pvt_v2_b0", 64, {}, "head"),
    ("mixer_s32_224", 64, {"img_size": 64}, "head"),
    ("sequencer2d_s", 64, {"img_size": 64, "layers": [1, 1, 1, 1]}, "head.fc"),
]


def build(name: str, arguments: dict[str, Any], num_classes: int = K) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, **arguments)
    return model


def logits_in_eval(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(images)


def test_the_architectures_are_at_least_thirty() -> None:
    assert len({name for name, *_ in ARCHITECTURES}) == len(ARCHITECTURES) >= 30


@pytest.mark.parametrize(
    ("name", "size", "arguments", "head_name"), ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES]
)
def test_add_train_evaluate_remove(name: str, size: int, arguments: dict[str, Any], head_name: str) -> None:
    torch.manual_seed(0)
    images, targets = torch.randn(BATCH, 3, size, size), torch.randint(K, (BATCH,))
    model = build(name, arguments)
    before = logits_in_eval(model, images)

    add_virtual_classes(model, V)
    ((found, head),) = virtual_heads(model)
    assert found == head_name
    assert torch.equal(logits_in_eval(model, images), before)

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    logits = model.train()(images)
    assert logits.shape == (BATCH, K + V)
    loss = VirtualSmoothingLoss(K, 0.3)(logits, targets)
    loss.backward()
    assert loss.isfinite()
    assert head.weight.grad is not None
    assert head.weight.grad[K:].flatten(1).abs().sum(1).min() > 0
    optimizer.step()

    trained = logits_in_eval(model, images)
    assert trained.shape == (BATCH, K)
    assert trained.isfinite().all()
    assert not torch.equal(trained, before)
    assert torch.equal(logits_in_eval(remove_virtual_classes(model), images), trained)
    plain = build(name, arguments)
    plain.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(logits_in_eval(plain, images), trained)


# These average or add the logits of two classifiers, so that widening one of them would not do.
TWO_CLASSIFIERS = [
    ("deit_tiny_distilled_patch16_224", 32, {"img_size": 32, "depth": 2}, ["head", "head_dist"]),
    ("levit_128s", 64, {"img_size": 64}, ["head.linear", "head_dist.linear"]),
    ("crossvit_tiny_240", 48, {"img_size": 48, "img_scale": (1.0, 1.0)}, ["head.0", "head.1"]),
    ("repvit_m0_9", 64, {}, ["head.head.l", "head.head_dist.l"]),
    ("efficientformer_l1", 224, {}, ["head", "head_dist"]),
]


@pytest.mark.parametrize(
    ("name", "size", "arguments", "heads"), TWO_CLASSIFIERS, ids=[row[0] for row in TWO_CLASSIFIERS]
)
def test_two_classifiers_are_widened_together(
    name: str, size: int, arguments: dict[str, Any], heads: list[str]
) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, size, size)
    model = build(name, arguments)
    listed = ".*".join(f"'{head}'" for head in heads)
    with pytest.raises(ValueError, match=f'several work together: {listed}.*; pass head="all"'):
        add_virtual_classes(model, V)
    with pytest.raises(ValueError, match=f'combines the logits of {listed}.*: pass head="all"'):
        add_virtual_classes(model, V, head=heads[0])
    before = logits_in_eval(model, images)
    add_virtual_classes(model, V, head="all")
    assert [found for found, _ in virtual_heads(model)] == heads
    assert torch.equal(logits_in_eval(model, images), before)
    logits = model.train()(images)
    assert logits.shape == (2, K + V)
    VirtualSmoothingLoss.for_model(model, 0.3)(logits, torch.arange(2)).backward()
    trained = logits_in_eval(model, images)
    plain = build(name, arguments)
    plain.load_state_dict(remove_virtual_classes(model).state_dict(), strict=True)
    assert torch.equal(logits_in_eval(plain, images), trained)


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050", "dla46_c"])
def test_a_model_built_without_classes_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=r"has no classifier: .* \(a timm model wants num_classes > 0\)"):
        add_virtual_classes(build(name, {}, num_classes=0), V)
