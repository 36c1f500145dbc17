"""Weights of K rows in a wide head, of K + V rows in a plain one."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

import vsmooth
from vsmooth import accept_wide_weights, add_virtual_classes

K, V, D = 5, 3, 6


def plain_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, D), nn.ReLU(), nn.Linear(D, K))


def plain_conv() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, D, 3), nn.ReLU(), nn.Conv2d(D, K, 1, bias=False))


BUILDS = pytest.mark.parametrize(("build", "shape"), [(plain_model, (2, 4)), (plain_conv, (2, 3, 4, 4))])


def through_torch(state: dict[str, Tensor]) -> dict[str, Tensor]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@BUILDS
def test_a_plain_checkpoint_fills_the_real_rows_of_a_wide_head(build: type, shape: tuple[int, ...]) -> None:
    plain, wide = build().eval(), add_virtual_classes(build(), V).eval()
    virtual = copy.deepcopy(wide[-1])
    given = plain.state_dict()
    wide.load_state_dict(given)
    inputs = torch.randn(shape)
    assert torch.equal(wide(inputs), plain(inputs))
    assert torch.equal(wide[-1].weight[K:], virtual.weight[K:])
    assert given["2.weight"].shape[0] == K  # what was given is not changed
    assert wide.train()(inputs).shape[1] == K + V


@BUILDS
def test_a_stripped_state_dict_loads_into_the_plain_model(build: type, shape: tuple[int, ...]) -> None:
    wide = add_virtual_classes(build(), V).eval()
    inputs = torch.randn(shape)
    for state in (wide.state_dict(), through_torch(wide.state_dict()), nn.ModuleDict({"m": wide})["m"].state_dict()):
        plain = build().eval()
        plain.load_state_dict(vsmooth.strip(state), strict=True)
        assert torch.equal(plain(inputs), wide(inputs))
        assert state["2.weight"].shape[0] == K + V


def test_where_the_note_is_lost_k_and_the_head_are_told() -> None:
    wide = add_virtual_classes(plain_model(), V)
    state = dict(wide.state_dict())  # as from safetensors
    with pytest.raises(ValueError, match=r"does not say which entries have virtual rows .* pass num_classes=K"):
        vsmooth.strip(state)
    with pytest.raises(ValueError, match=r"has no fc\.weight; its weights are 0\.weight, 2\.weight"):
        vsmooth.strip(state, num_classes=K, head="fc")
    with pytest.raises(ValueError, match=r"2\.weight has 8 rows, fewer than num_classes=9"):
        vsmooth.strip(state, num_classes=9, head="2")
    stripped = vsmooth.strip(state, num_classes=K, head=["2"])
    assert torch.equal(stripped["2.bias"], wide[2].bias[:K])
    assert stripped["0.weight"].data_ptr() == state["0.weight"].data_ptr()
    with pytest.raises(ValueError, match="is stripped already"):
        vsmooth.strip(vsmooth.strip(wide.state_dict()))


def test_a_plain_model_can_be_made_to_accept_wide_weights() -> None:
    wide, plain = add_virtual_classes(plain_model(), V).eval(), plain_model().eval()
    handles = accept_wide_weights(plain)
    inputs = torch.randn(2, 4)
    for state in (wide.state_dict(), dict(wide.state_dict())):
        nn.init.zeros_(plain[-1].weight)
        plain.load_state_dict(state, strict=True)
        assert torch.equal(plain(inputs), wide(inputs))
    plain.load_state_dict(plain_model().state_dict())
    other = add_virtual_classes(nn.Sequential(nn.Linear(4, D), nn.ReLU(), nn.Linear(D, K + 1)), V)
    with pytest.raises(RuntimeError, match="size mismatch"):  # 6 real classes, as the state dict notes
        plain.load_state_dict(other.state_dict())
    for handle in handles:
        handle.remove()
    with pytest.raises(RuntimeError, match="size mismatch"):
        plain.load_state_dict(wide.state_dict())


def test_a_bare_head_has_an_empty_name() -> None:
    wide = add_virtual_classes(nn.Linear(D, K), V)
    assert torch.equal(vsmooth.strip(wide.state_dict())["weight"], wide.weight[:K])
