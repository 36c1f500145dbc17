"""docs/architectures.md says what the code does: a few of its rows, tried again."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architectures.md"
pytest.importorskip("timm")
pytest.importorskip("transformers")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("write_architectures_page")


def rows() -> list[str]:
    return re.findall(r"^\| `.*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("family", ["repghost", "volo", "pit"])
def test_rows_of_timm(script: ModuleType, family: str) -> None:
    assert script.line(script.try_timm(family), 2) in rows()


@pytest.mark.parametrize(
    "head",
    [
        "RobertaForSequenceClassification", "BertForMaskedLM", "LlamaForCausalLM", "GPT2LMHeadModel",
        "DeiTForImageClassificationWithTeacher", "SegformerForSemanticSegmentation",
    ],
)  # fmt: skip
def test_rows_of_transformers(script: ModuleType, head: str) -> None:
    assert script.line(script.try_transformers(head), 1) in rows()


def test_every_family_and_head_has_a_row_and_none_fails(script: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(rows()) == page.count("\n| `")
    assert {name for name, *_ in script.HEADS} <= set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert "fails:" not in page
    for passed, of in re.findall(r"(\d+) of (\d+) pass", page):
        assert int(passed) / int(of) >= 0.95
