"""Frozen values through JSON: what survives, and what each error says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from vsmooth.records.bounds import Count, Share
from vsmooth.records.plain_values import FieldError
from vsmooth.records.serialisation import from_plain, make_converter, register_text, to_plain


@dataclass(frozen=True)
class Step:
    loss: float
    epoch: Count


@dataclass(frozen=True)
class Plain:
    kind: ClassVar[str] = "plain"


@dataclass(frozen=True)
class Taught:
    kind: ClassVar[str] = "taught"
    weight: Share = 0.5


@dataclass(frozen=True)
class Whole:
    name: str
    fine: bool
    norm: Literal["linf", "l2"]
    history: tuple[Step, ...]
    best: Step | None
    limit: int | None
    metrics: Mapping[str, float]
    table: tuple[tuple[float, ...], ...]
    method: Plain | Taught = field(default_factory=Plain)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.history:
            raise ValueError("a history has at least one step")


WHOLE = Whole(
    "a $ ü", True, "l2", (Step(0.5, 1), Step(0.25, 2)), None, 3, {"nll": 0.1}, ((1.0, 2.0), ()), Taught(0.25),
    {"steps": 3, "inner": {"loss": "margin", "on": [True, None, 0.5]}},
)


def test_survives_json() -> None:
    again = from_plain(Whole, json.loads(json.dumps(to_plain(WHOLE))))
    assert again == WHOLE
    assert hash(again.method) == hash(WHOLE.method)
    assert from_plain(Whole, to_plain(replace(WHOLE, method=Plain(), best=Step(1.0, 1)))).method == Plain()


def test_plain_values_are_what_json_gives_back() -> None:
    plain = to_plain(WHOLE)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["method"] == {"kind": "taught", "weight": 0.25}
    assert plain["history"] == [{"loss": 0.5, "epoch": 1}, {"loss": 0.25, "epoch": 2}]


def test_not_a_number_is_null_in_float_fields_alone() -> None:
    for value in (math.nan, math.inf, -math.inf):
        plain = to_plain(Step(value, 1))
        assert plain == {"loss": None, "epoch": 1}
        assert math.isnan(from_plain(Step, plain).loss)
    with pytest.raises(FieldError, match="epoch: expected a whole number, got null"):
        from_plain(Step, {"loss": 1, "epoch": None})


def test_a_whole_number_is_a_float_and_not_the_reverse() -> None:
    loss = from_plain(Step, {"loss": 2, "epoch": 1}).loss
    assert type(loss) is float
    with pytest.raises(FieldError, match=r"epoch: expected a whole number, got 1\.0"):
        from_plain(Step, {"loss": 2, "epoch": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: expected text, got 3"),
        ({"name": "\udc80"}, r"name: expected Unicode text, got '\\udc80'"),
        ({"fine": 1}, "fine: expected true or false, got 1"),
        ({"fine": "true"}, "fine: expected true or false, got 'true'"),
        ({"norm": "l3"}, "norm: expected 'linf' or 'l2', got 'l3'"),
        ({"norm": []}, r"norm: expected 'linf' or 'l2', got \[\]"),
        ({"limit": True}, "limit: expected a whole number, got True"),
        ({"limit": 10**400}, r"limit: expected a whole number, got 1000+\.\.\.0+$"),
        ({"limit": 2**63}, "limit: expected a whole number, got 9223372036854775808"),
        ({"metrics": {"nll": "x"}}, r"metrics\.nll: expected a number, got 'x'"),
        ({"metrics": {"nll": math.inf}}, r"metrics\.nll: expected a number, got inf"),
        ({"metrics": {"nll": 10**400}}, r"metrics\.nll: expected a whole number, got 1000"),
        ({"metrics": {"a\nb": "x"}}, r"metrics\['a\\nb'\]: expected a number, got 'x'"),
        ({"metrics": {"\udc80": 1}}, "metrics: expected Unicode text"),
        ({"metrics": [1]}, r"metrics: expected an object, got \[1\]"),
        ({"history": "abc"}, "history: expected a list, got 'abc'"),
        ({"history": {"0": 1}}, r"history: expected a list, got \{'0': 1\}"),
        ({"history": [{"loss": 1, "epoch": 1}, {"loss": "x", "epoch": 1}]}, r"^history\[1\]\.loss: expected a number"),
        ({"history": [{"loss": 1}]}, r"^history\[0\]\.epoch: missing$"),
        ({"history": [{"loss": 1, "epoch": -1}]}, r"history\[0\]\.epoch: expected a number of at least 0, got -1"),
        ({"history": []}, "^a history has at least one step"),
        ({"best": []}, r"best: expected an object, got \[\]"),
        ({"table": [[1, "x"]]}, r"table\[0\]\[1\]: expected a number, got 'x'"),
        ({"colour": 1}, "^unknown field 'colour'"),
        ({"method": {"weight": 1}}, r"method\.kind: expected 'plain' or 'taught', got null"),
        ({"method": {"kind": "other"}}, r"method\.kind: expected 'plain' or 'taught', got 'other'"),
        ({"method": {"kind": ["plain"]}}, r"method\.kind: expected 'plain' or 'taught'"),
        ({"method": {"kind": "plain", "weight": 1}}, "method: unknown field 'weight'"),
        ({"method": {"kind": "taught"}}, r"method\.weight: missing"),
        ({"method": {"kind": "taught", "weight": 1.5}}, r"method\.weight: expected a number from 0 to 1, got 1\.5"),
        ({"method": None}, "method: expected an object, got null"),
        ({"settings": {"a": [math.inf]}}, r"settings\.a\[0\]: expected a number, got inf"),
        ({"settings": {"a": object()}}, r"settings\.a: expected a number, got <object"),
    ],
)
def test_an_error_names_the_field_and_the_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        from_plain(Whole, {**to_plain(WHOLE), **change})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", list(to_plain(WHOLE)))
def test_every_field_must_be_there_also_one_with_a_default(name: str) -> None:
    plain = to_plain(WHOLE)
    del plain[name]
    with pytest.raises(FieldError, match=f"^{name}: missing"):
        from_plain(Whole, plain)


@pytest.mark.parametrize("value", [None, 3, "x", [], True])
def test_what_is_no_object(value: object) -> None:
    with pytest.raises(FieldError, match=r"^expected an object, got "):
        from_plain(Whole, value)


def test_a_deep_value_is_an_error() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FieldError, match="nested too deeply"):
        from_plain(Whole, {**to_plain(WHOLE), "settings": {"a": deep}})
    with pytest.raises(FieldError, match="name: expected text, got"):
        from_plain(Whole, {**to_plain(WHOLE), "name": deep})


def test_text_that_is_no_unicode_is_written_as_its_escape() -> None:
    plain = to_plain(replace(WHOLE, name="caf\udce9"))
    assert plain["name"] == "caf\\udce9"
    assert from_plain(Whole, plain).name == "caf\\udce9"


@dataclass(frozen=True, eq=False)
class Table:
    counts: Tensor
    values: Tensor


def test_tensors_of_one_dimension() -> None:
    plain = to_plain(Table(torch.tensor([1, 2]), torch.tensor([0.5, math.nan], dtype=torch.float64)))
    assert plain == {"counts": [1, 2], "values": [0.5, None]}
    again = from_plain(Table, json.loads(json.dumps(plain)))
    assert again.counts.dtype == torch.int64
    assert again.values.dtype == torch.float64
    assert again.values[1].isnan()
    with pytest.raises(FieldError, match=r"values\[1\]: expected a number, got \[1\]"):
        from_plain(Table, {**plain, "values": [0.5, [1]]})
    with pytest.raises(FieldError, match=r"counts\[0\]: expected a whole number"):
        from_plain(Table, {**plain, "counts": [10**30]})


class Label:
    def __init__(self, alpha: float) -> None:
        self.alpha = alpha


class Smoothed(Label):
    pass


@dataclass(frozen=True)
class Spec:
    label: Label


def _read(text: str) -> Label:
    kind, _, alpha = text.partition(":")
    if kind != "vs":
        raise ValueError(f"unknown label {text!r}")
    return Smoothed(float(alpha))


def test_values_with_a_text_of_their_own() -> None:
    converter = make_converter()
    register_text(converter, Label, lambda label: f"vs:{label.alpha:g}", _read)
    plain = to_plain(Spec(Smoothed(0.3)), converter=converter)
    assert plain == {"label": "vs:0.3"}
    assert from_plain(Spec, plain, converter).label.alpha == 0.3
    with pytest.raises(FieldError, match="label: unknown label 'xs:1'"):
        from_plain(Spec, {"label": "xs:1"}, converter)
    with pytest.raises(FieldError, match="label: expected text, got 1"):
        from_plain(Spec, {"label": 1}, converter)


@dataclass(frozen=True)
class Untagged:
    weight: float = 1.0


@dataclass(frozen=True)
class Holder:
    method: Plain | Untagged


def test_a_member_of_a_union_needs_a_kind() -> None:
    with pytest.raises(TypeError, match=r"Untagged is a member of a union: it needs a `kind: ClassVar\[str\]`"):
        to_plain(Holder(Untagged()))
