"""Write docs/architectures.md: which models of timm and Transformers can have virtual classes, tried one by one.

``write_architectures_page.py [PAGE]``; all of them take about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from round_trip import Inputs, K, NotFiniteError, Outcome, V, round_trip
from torch import nn
from transformers_heads import HEADS, build_and_inputs

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architectures.md"
SIZES = (64, 96, 128, 224, 240, 256, 299)
# Words in names of small variants, the smallest first.
SMALL = (
    "atto femto zepto pico nano xxs xx_small xtiny xs tiny _ti _t mini small _s 035 050 _b0 18 14 _m0 26 50".split()  # noqa: SIM905
)
Row = tuple[str, str, Outcome | str]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE, help="default docs/architectures.md")
    page = parser.parse_args().page
    timm_rows, transformers_rows = list(map(try_timm, families())), [try_transformers(head[0]) for head in HEADS]
    page.write_text(render(timm_rows, transformers_rows), encoding="utf-8")


def families() -> list[str]:
    """The files of timm's models; each holds the variants of one family."""
    import timm

    return [name for name in timm.list_modules() if variants(name)]


def variants(family: str) -> list[str]:
    """The models of a family, probably the smallest first; not those that timm keeps for its own tests."""
    import timm

    names = [name for name in timm.list_models(module=family) if not name.startswith("test_")]
    return sorted(names, key=lambda name: (next((i for i, s in enumerate(SMALL) if s in name), len(SMALL)), len(name)))


def try_timm(family: str) -> Row:
    """The smallest variant of a family, at the smallest image size that it takes."""
    name = variants(family)[0]
    return family, name, _tried(name, [timm_model(name, size) for size in SIZES])


def timm_model(name: str, size: int) -> tuple[Callable[[], nn.Module], Inputs]:
    """A function that builds the model of timm, and a batch of two for it."""
    import timm

    def build() -> nn.Module:
        try:
            model: nn.Module = timm.create_model(name, pretrained=False, num_classes=K, img_size=size)
        except TypeError:  # a network without a fixed image size
            model = timm.create_model(name, pretrained=False, num_classes=K)
        return model

    return build, torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def try_transformers(name: str) -> Row:
    """One head of `transformers_heads`."""
    (head,) = (head for head in HEADS if head[0] == name)
    return name, name, _tried(name, [build_and_inputs(*head)])


def _tried(name: str, ways: Sequence[tuple[Callable[[], nn.Module], Inputs]]) -> Outcome | str:
    """The outcome with the first inputs that the plain model takes, or what is wrong."""
    print(name, file=sys.stderr, flush=True)
    for build, inputs in ways:
        try:
            model = build().eval()
            with torch.no_grad():
                model(**inputs) if isinstance(inputs, dict) else model(inputs)
        except Exception as error:  # whatever the code of a network says to a size that it cannot take
            reason = f"{type(error).__name__}: {error}"
            continue
        try:
            return round_trip(build, inputs)
        except NotFiniteError as error:
            reason = str(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}".partition("\n")[0]
    return f"not built: {reason}".partition("\n")[0]


def render(timm_rows: Sequence[Row], transformers_rows: Sequence[Row]) -> str:
    """The page as Markdown."""
    import timm
    import transformers

    return f"""\
# Models of timm and Transformers

Written by `python scripts/write_architectures_page.py` with timm {timm.__version__}, Transformers
{transformers.__version__} and torch {torch.__version__.partition("+")[0]}; a test tries a few rows again.

Each model, without weights, gets {V} virtual classes beside its {K} real ones, is trained for one step, evaluated, and
narrowed again. A row passes if the real logits stay the same bit for bit when the virtual classes are added and
removed, train mode gives {K + V} logits and eval mode {K}, all virtual rows get a gradient, and the narrowed weights
load into a fresh plain model. Where the error of the first call named another one, that call was made, and is the one
shown.

## timm

One model of each file of timm's models, the smallest by its name: {_count(timm_rows)}

{_table(("family", "model"), timm_rows)}

## Transformers

{_count(transformers_rows)}

{_table(("head",), transformers_rows)}
"""


def _count(rows: Sequence[Row]) -> str:
    passed = sum(isinstance(found, Outcome) and not found.refused for *_, found in rows)
    refused = sum(isinstance(found, Outcome) and bool(found.refused) for *_, found in rows)
    return f"{passed} of {len(rows)} pass, {refused} are refused with a reason, {len(rows) - passed - refused} fail."


def _table(columns: tuple[str, ...], rows: Sequence[Row]) -> str:
    header = (*columns, "classifiers", "call, or why not")
    lines = [_joined(header), _joined(("---",) * len(header)), *(line(row, len(columns)) for row in rows)]
    return "\n".join(lines)


def line(row: Row, names: int) -> str:
    """A row of a table; names: 1 for the model alone, 2 for its family too."""
    family, model, found = row
    return _joined((f"`{family}`", f"`{model}`")[-names:] + _found(found))


def _joined(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _found(found: Outcome | str) -> tuple[str, str]:
    if isinstance(found, str):
        return "", _escaped(f"fails: {found}")
    if found.refused:
        return "", _escaped(f"refused: {found.refused}")
    return ", ".join(f"`{name}`" for name in found.heads), f"`{found.call}`"


def _escaped(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", "\\|").replace("<", "&lt;"))


if __name__ == "__main__":
    main()
