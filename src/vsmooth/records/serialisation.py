"""Frozen values to plain JSON values and back: strict, and an error names the field.

A class is described by its type hints alone. Read are bool, int, float, str, Literal, `X | None`, tuples, mappings with
text as keys, tensors of one dimension, frozen dataclasses, unions of them (told apart by `kind`), numbers with a
`Range`, and mappings with `NamedRanges`. Nothing is coerced, except that a whole number is also a float. NaN is null,
in float fields alone; so is an infinite number, which JSON cannot write, so that it is NaN when it is read. A method
`check_stored` of a class is called for each value that is read, to refuse what cannot be true.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cattrs import Converter
from torch import Tensor

from vsmooth.records.bounds import NamedRanges, Range
from vsmooth.records.plain_values import (
    FieldError,
    at,
    brief,
    build,
    each,
    expected,
    read_any,
    read_bool,
    read_float,
    read_int,
    read_list,
    read_literal,
    read_object,
    read_tensor,
    read_text,
    step_to,
)

T = TypeVar("T")
Read = Callable[[Any, Any], Any]
KIND = "kind"  # which member of a union a JSON object is
_SINGLE: dict[Any, Read] = {
    bool: read_bool, int: read_int, float: read_float, str: read_text, Tensor: read_tensor
}


def make_converter() -> Converter:
    """A cattrs converter with the rules of this module; `register_text` adds to it."""
    converter = Converter()
    for kind, read in _SINGLE.items():
        converter.register_structure_hook(kind, read)
    converter.register_structure_hook_func(lambda kind: kind is Any, read_any)
    converter.register_structure_hook_func(lambda kind: get_origin(kind) is Literal, read_literal)
    for applies, factory in (
        (_is_tuple, _tuple_reader),
        (_is_mapping, _mapping_reader),
        (_is_ranged, _ranged_reader),
        (_is_record, _record_reader),
        (_is_tagged, _tagged_reader),
    ):
        converter.register_structure_hook_factory(applies, factory)
    converter.register_unstructure_hook(float, lambda value: value if math.isfinite(value) else None)
    converter.register_unstructure_hook(str, lambda text: text.encode("utf-8", "backslashreplace").decode())
    converter.register_unstructure_hook(Tensor, lambda values: converter.unstructure(values.tolist()))
    converter.register_unstructure_hook_func(_is_tuple, lambda values: [converter.unstructure(item) for item in values])
    converter.register_unstructure_hook_factory(_is_tagged, _tagged_writer)
    return converter


def register_text(converter: Converter, base: type[T], write: Callable[[T], str], read: Callable[[str], T]) -> None:
    """Values of `base` and its subclasses are written as one text, such as "vs:0.3"; ValueError of `read` is told."""

    def applies(kind: Any) -> bool:
        return isinstance(kind, type) and issubclass(kind, base)

    converter.register_unstructure_hook_func(applies, write)
    converter.register_structure_hook_func(applies, lambda value, _: build(read, read_text(value)))


def _is_tuple(kind: Any) -> bool:
    return kind is tuple or get_origin(kind) is tuple


def _tuple_reader(kind: Any, converter: Converter) -> Read:
    inner, *more = get_args(kind)
    if more == [Ellipsis]:
        return lambda value, _: tuple(each(read_list(value), lambda item: converter.structure(item, inner)))
    if any(one != inner for one in more):
        raise TypeError(f"records hold tuples of one kind, tuple[X, ...] or tuple[X, X], not {kind}")

    def read(value: Any, _: Any) -> tuple[Any, ...]:
        items = read_list(value)
        if len(items) != 1 + len(more):
            raise expected(f"{1 + len(more)} values", value)
        return tuple(each(items, lambda item: converter.structure(item, inner)))

    return read


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (dict, Mapping)


def _mapping_reader(kind: Any, converter: Converter) -> Read:
    _, inner = get_args(kind)

    def read(value: Any, _: Any) -> dict[str, Any]:
        found = read_object(value)
        return {read_text(key): at(step_to(key), converter.structure, item, inner) for key, item in found.items()}

    return read


def _is_ranged(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(isinstance(extra, Range | NamedRanges) for extra in get_args(kind)[1:])


def _ranged_reader(kind: Any, converter: Converter) -> Read:
    inner, *extras = get_args(kind)
    (limits,) = (extra for extra in extras if isinstance(extra, Range | NamedRanges))

    def read(value: Any, _: Any) -> Any:
        number = converter.structure(value, inner)
        build(limits.check, number)
        return number

    return read


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind)


def _record_reader(kind: Any, converter: Converter) -> Read:
    hints = get_type_hints(kind, include_extras=True)
    kinds = {field.name: hints[field.name] for field in fields(kind) if field.init}

    def read(value: Any, _: Any) -> Any:
        found = read_object(value)
        if missing := [name for name in kinds if name not in found]:
            raise FieldError("missing", f".{missing[0]}")
        if unknown := [name for name in found if name not in kinds]:
            raise FieldError(f"unknown field {brief(unknown[0])}")
        record = build(kind, **{name: at(f".{name}", converter.structure, found[name], kinds[name]) for name in kinds})
        if (check := getattr(record, "check_stored", None)) is not None:
            build(check)
        return record

    return read


def _is_tagged(kind: Any) -> bool:
    members = _members(kind)
    return len(members) > 1 and all(map(_is_record, members))


def _members(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) not in (Union, UnionType):
        return ()
    return tuple(member for member in get_args(kind) if member is not NoneType)


def _tagged_reader(union: Any, converter: Converter) -> Read:
    members = {_kind_of(member): member for member in _members(union)}

    def read(value: Any, _: Any) -> Any:
        if value is None and NoneType in get_args(union):
            return None
        rest = dict(read_object(value))
        kind = rest.pop(KIND, None)
        if not isinstance(kind, str) or kind not in members:
            raise expected(" or ".join(map(repr, members)), kind).below(f".{KIND}")
        return converter.structure(rest, members[kind])

    return read


def _tagged_writer(union: Any, converter: Converter) -> Callable[[Any], Any]:
    kinds = {member: _kind_of(member) for member in _members(union)}

    def write(value: Any) -> Any:
        return None if value is None else {KIND: kinds[type(value)], **converter.unstructure(value)}

    return write


def _kind_of(member: Any) -> str:
    kind = vars(member).get(KIND)
    if not isinstance(kind, str) or KIND in {field.name for field in fields(member)}:
        raise TypeError(f"{member.__name__} is a member of a union: it needs a `{KIND}: ClassVar[str]`")
    return kind


CONVERTER = make_converter()


def to_plain(value: Any, kind: Any = None, converter: Converter = CONVERTER) -> Any:
    """Dicts, lists, text, numbers and None; `kind` is needed for a member of a union, which then carries its kind."""
    return converter.unstructure(value, unstructure_as=kind)


def from_plain(kind: type[T], value: Any, converter: Converter = CONVERTER) -> T:
    """Undo `to_plain`; FieldError names the first field that is missing, unknown or of another kind, and its value."""
    try:
        return converter.structure(value, kind)
    except RecursionError:
        raise FieldError("it is nested too deeply") from None
