from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsmooth import VirtualSmoothingLoss, add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.head import VirtualConv2d, VirtualLinear, virtual_heads

K, V, D = 10, 7, 16
SHAPE = (4, 3, 8, 8)


def with_linear(bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, D, 3),
        nn.BatchNorm2d(D),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(D, K, bias),
    )


def with_conv(bias: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, D, 3), nn.ReLU(), nn.Conv2d(D, K, 1, bias=bias), nn.AvgPool2d(6), nn.Flatten())


MODELS: list[Callable[[], nn.Sequential]] = [
    with_linear,
    with_conv,
    lambda: with_linear(bias=False),
    lambda: with_conv(bias=False),
]
every_model = pytest.mark.parametrize("build", MODELS, ids=["linear", "conv", "linear no bias", "conv no bias"])


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(SHAPE)


def the_head(model: nn.Module) -> VirtualLinear | VirtualConv2d:
    ((_, head),) = virtual_heads(model)
    return head


def train_a_step(model: nn.Module, images: Tensor) -> Tensor:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = VirtualSmoothingLoss(K, 0.3)(model.train()(images), torch.arange(len(images)))
    loss.backward()
    optimizer.step()
    return loss.detach()


@every_model
def test_all_logits_in_training_the_real_ones_in_eval(build: Callable[[], nn.Module], images: Tensor) -> None:
    model = add_virtual_classes(build(), V)
    assert model.train()(images).shape == (4, K + V)
    assert model.eval()(images).shape == (4, K)
    with all_logits(model):
        assert model(images).shape == (4, K + V)


@every_model
def test_the_real_rows_and_logits_are_kept_bit_for_bit(build: Callable[[], nn.Sequential], images: Tensor) -> None:
    plain = build().eval()
    wide = add_virtual_classes(copy.deepcopy(plain), V)
    assert not wide.training
    assert torch.equal(wide(images), plain(images))
    for (name, old), new in zip(plain.named_parameters(), wide.parameters(), strict=True):
        assert torch.equal(new[: len(old)], old), name


@every_model
def test_virtual_rows_start_as_a_fresh_layer_would(build: Callable[[], nn.Module]) -> None:
    head = the_head(add_virtual_classes(build(), 2000))
    bound = D**-0.5
    for rows in (head.weight[K:], *([] if head.bias is None else [head.bias[K:]])):
        assert rows.abs().max() <= bound
        assert rows.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


@pytest.mark.parametrize("num_virtual", [None, 1, K, 5 * K])
def test_there_are_as_many_virtual_classes_as_asked_or_as_real_ones(num_virtual: int | None) -> None:
    model = add_virtual_classes(with_linear(), num_virtual)
    assert the_head(model).num_virtual == (num_virtual or K)
    assert model.train()(torch.randn(SHAPE)).shape[1] == K + (num_virtual or K)


def test_a_bare_layer_comes_back_as_a_new_one() -> None:
    plain = nn.Linear(D, K)
    wide = add_virtual_classes(plain, V)
    assert isinstance(wide, VirtualLinear)
    assert wide(torch.randn(2, 3, D)).shape == (2, 3, K + V)
    bare = remove_virtual_classes(wide)
    assert type(bare) is nn.Linear
    assert torch.equal(bare.weight, plain.weight)
    assert bare.weight.untyped_storage().nbytes() == plain.weight.nbytes


@every_model
def test_virtual_rows_are_not_computed_in_eval(build: Callable[[], nn.Module], images: Tensor) -> None:
    plain, counts = build().eval(), []
    wide = add_virtual_classes(copy.deepcopy(plain), V)
    for model in (plain, wide):
        with FlopCounterMode(display=False) as counter:
            model(images)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1]
    with torch.no_grad(), all_logits(wide), FlopCounterMode(display=False) as counter:
        wide(images)
    assert counter.get_total_flops() > counts[0]
    with torch.no_grad():
        for row in (the_head(wide).weight[K:], *([] if the_head(wide).bias is None else [the_head(wide).bias[K:]])):
            row.fill_(float("nan"))
    assert torch.equal(wide(images), plain(images))


def test_all_logits_nests_and_ends_with_the_context_whatever_happens(images: Tensor) -> None:
    model = add_virtual_classes(with_linear(), V).eval()
    with all_logits(model) as same:
        assert same is model
        with all_logits(model):
            assert model(images).shape[1] == K + V
        assert model(images).shape[1] == K + V
    assert model(images).shape[1] == K
    with pytest.raises(RuntimeError, match="within"), all_logits(model):
        raise RuntimeError("within")
    assert model(images).shape[1] == K


def test_all_logits_begin_with_the_real_ones_and_do_not_change_the_mode(images: Tensor) -> None:
    model = add_virtual_classes(with_linear(), V).eval()
    real = model(images)
    with all_logits(model):
        assert not any(module.training for module in model.modules())
        torch.testing.assert_close(model(images)[:, :K], real)
        model.train()
    assert model(images).shape[1] == K + V


def test_a_compiled_model_follows_its_mode_and_all_logits(images: Tensor) -> None:
    torch.compiler.reset()
    model = add_virtual_classes(with_conv(), V)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), model(images))
    compiled.eval()
    torch.testing.assert_close(compiled(images), model(images))
    assert compiled(images).shape[1] == K
    for either in (compiled, model):
        with all_logits(either):
            assert compiled(images).shape[1] == K + V
        assert compiled(images).shape[1] == K
    assert compiled.train()(images).shape[1] == K + V


def test_a_model_compiled_before_can_be_widened_and_narrowed(images: Tensor) -> None:
    compiled = torch.compile(with_conv(), backend="aot_eager")
    assert add_virtual_classes(compiled, V)(images).shape[1] == K + V
    assert remove_virtual_classes(compiled)(images).shape[1] == K


@every_model
def test_removal_gives_the_plain_architecture_with_the_same_logits(
    build: Callable[[], nn.Sequential], images: Tensor
) -> None:
    model = add_virtual_classes(build(), V)
    train_a_step(model, images)
    logits = model.eval()(images)
    assert remove_virtual_classes(model) is model
    assert not any(module.training for module in model.modules())
    assert torch.equal(model(images), logits)
    fresh = build().eval()
    assert [type(module) for module in model.modules()] == [type(module) for module in fresh.modules()]
    assert repr(model) == repr(fresh)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(images), logits)
    assert model.train()(images).shape == (4, K)
    add_virtual_classes(model, V)


@every_model
def test_a_step_reaches_every_row_of_the_head_and_lowers_the_loss(
    build: Callable[[], nn.Module], images: Tensor
) -> None:
    model = add_virtual_classes(build(), V)
    before = copy.deepcopy(the_head(model))
    first = train_a_step(model, images)
    head = the_head(model)
    assert head.weight.grad is not None
    assert head.weight.grad.flatten(1).abs().sum(1).min() > 0
    assert (head.weight != before.weight).flatten(1).any(1).all()
    for _ in range(10):
        last = train_a_step(model, images)
    assert last < first


def saved_and_loaded(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def loaded_from_state(model: nn.Module) -> nn.Module:
    other = add_virtual_classes(with_linear(), V).train(model.training)
    other.load_state_dict(model.state_dict(), strict=True)
    return other


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), saved_and_loaded, loaded_from_state]
)
def test_copies_behave_alike_and_apart(copied: Callable[[nn.Module], nn.Module], images: Tensor) -> None:
    model = add_virtual_classes(with_linear(), V).eval()
    with all_logits(model):
        wide = model(images)
    other = copied(model)
    assert torch.equal(other(images), model(images))
    with all_logits(other):
        assert torch.equal(other(images), wide)
        assert model(images).shape[1] == K
    assert torch.equal(remove_virtual_classes(other)(images), model(images))
    assert virtual_heads(model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("build", [with_linear, with_conv])
def test_the_dtype_is_kept_and_can_be_changed(
    build: Callable[[], nn.Module], dtype: torch.dtype, images: Tensor
) -> None:
    models = [add_virtual_classes(build().to(dtype), V), add_virtual_classes(build(), V).to(dtype)]
    for model in models:
        assert {p.dtype for p in model.parameters()} == {dtype}
        assert model(images.to(dtype)).shape[1] == K + V
        assert {p.dtype for p in remove_virtual_classes(model).parameters()} == {dtype}


@pytest.mark.filterwarnings("ignore:.*will not be trained")
@pytest.mark.parametrize("frozen", [["weight"], ["bias"], ["weight", "bias"], []])
def test_frozen_parameters_stay_frozen_there_and_back(frozen: list[str]) -> None:
    model = with_linear()
    for name in frozen:
        model[-1].get_parameter(name).requires_grad_(False)
    for change in (lambda m: add_virtual_classes(m, V), remove_virtual_classes):
        change(model)
        assert [n for n, p in model[-1].named_parameters() if not p.requires_grad] == frozen
        assert all(isinstance(p, nn.Parameter) and p.is_leaf for p in model[-1].parameters())


@pytest.mark.parametrize("frozen", [["weight"], ["bias"], ["weight", "bias"]])
def test_a_frozen_classifier_is_warned_about_and_can_be_thawed(frozen: list[str], images: Tensor) -> None:
    model = with_linear()
    for name in frozen:
        model[-1].get_parameter(name).requires_grad_(False)
    message = f"the {' and '.join(frozen)} of the classifier '6' will not be trained, .* random values; call requires_"
    with pytest.warns(UserWarning, match=message) as caught:
        add_virtual_classes(model, V)
    assert caught[0].filename == __file__
    model[-1].requires_grad_(True)  # the remedy
    before = copy.deepcopy(the_head(model))
    train_a_step(model, images)
    assert (the_head(model).weight != before.weight).any(1).all()


@every_model
def test_a_model_that_can_be_trained_is_not_warned_about(build: Callable[[], nn.Module]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add_virtual_classes(build(), V)


def test_a_state_dict_with_another_number_of_rows_names_the_remedy() -> None:
    plain, wide = with_linear(), add_virtual_classes(with_linear(), V)
    with torch.device("meta"):
        empty = add_virtual_classes(with_linear(), V)
    with pytest.raises(RuntimeError, match=r"6\.weight has 10 rows, .* before add_virtual_classes\(model\)"):
        empty.load_state_dict(plain.state_dict(), assign=True)  # there are no virtual rows to keep
    other = add_virtual_classes(with_linear(), 3)
    remedy = r"6\.weight has 13 rows, but this head has 10 real and 7 virtual ones: .*add_virtual_classes\(model, 3\)"
    with pytest.raises(RuntimeError, match=remedy):
        wide.load_state_dict(other.state_dict())
    narrow = {"6.weight": torch.zeros(4, D)}
    with pytest.raises(RuntimeError, match=r"6\.weight has 4 rows, .* of a model with fewer classes"):
        wide.load_state_dict(narrow, strict=False)
    # The remedies.
    add_virtual_classes(remove_virtual_classes(wide), 3).load_state_dict(other.state_dict())
    remove_virtual_classes(wide).load_state_dict(plain.state_dict())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@every_model
def test_a_scripted_model_follows_its_mode(build: Callable[[], nn.Module], images: Tensor) -> None:
    model = add_virtual_classes(build(), V)
    scripted = torch.jit.script(model)
    assert scripted.train()(images).shape == (4, K + V)
    assert torch.equal(scripted.eval()(images), model.eval()(images))
    for change in (remove_virtual_classes, lambda m: all_logits(m).__enter__()):
        with pytest.raises(ValueError, match=r"torch\.jit has compiled the model: use all_logits or remove_virtual_cl"):
            change(scripted)


def test_fine_tuning_starts_from_the_pretrained_model_and_keeps_what_is_frozen(images: Tensor) -> None:
    pretrained = with_linear().eval()
    model = add_virtual_classes(copy.deepcopy(pretrained), V)
    assert torch.equal(model.eval()(images), pretrained(images))
    for parameter in model[:-1].parameters():
        parameter.requires_grad_(False)
    train_a_step(model, images)
    tuned = remove_virtual_classes(model).eval()
    assert torch.equal(tuned[0].weight, pretrained[0].weight)
    assert not torch.equal(tuned[-1].weight, pretrained[-1].weight)


def test_a_meta_model_stays_on_meta() -> None:
    with torch.device("meta"):
        model = with_linear()
    add_virtual_classes(model, V)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert remove_virtual_classes(model)[-1].weight.is_meta


def test_a_head_shows_its_classes() -> None:
    assert "VirtualLinear(num_classes=10, num_virtual=7)" in repr(add_virtual_classes(with_linear(), V))
