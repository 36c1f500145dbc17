"""Every field of every record with every kind of damage: one line that names file and field, or accepted on purpose."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cli_builders import FEW, TINY, taught_by
from fuzz_limits import limited
from record_damage import DELETED, EXTRA, Damage, damages

from vsmooth.cli import main
from vsmooth.evaluate import SanityReport, Standing
from vsmooth.experiments.run import read_claim
from vsmooth.methods.teacher_cache import CacheKey
from vsmooth.records.calibration import read_calibration
from vsmooth.records.comparison import load_comparison
from vsmooth.records.inspection import read_inspection
from vsmooth.records.json_files import RecordFile
from vsmooth.records.robust import read_record_file, write_robust
from vsmooth.records.run import read_record
from vsmooth.records.sanity import LossGrid, SweepPoint
from vsmooth.records.shift import read_shift

HALF = Standing.of(5, 10)
SANITY = SanityReport(
    10, (SweepPoint(20, HALF),), (SweepPoint(0.1, HALF),), HALF, HALF, 0, 0.0,
    LossGrid(3, (-1.0, 1.0), (0.0, 1.0), ((0.5, 1.0), (1.5, 2.0))),
)
_LIST = {"empty list"}
_ANY = {"null", "text", "true", "negative", "huge", "empty list", "nested list", "huge list", "object"}


@dataclass(frozen=True)
class Kind:
    """A kind of record: where the file is, how it is read, and what is accepted on purpose: pattern of a field, kinds.

    The first pattern that fits a field counts; a field that none fits accepts nothing.
    """

    file: str
    read: Callable[[Path], Any]
    accepted: tuple[tuple[str, set[str]], ...]


_FREE = {"text", DELETED}  # a text of a mapping with free names
_UNKNOWN = {"null"}  # a number that is not known
_LARGE = {"huge"}  # a number without a largest one
_AMOUNT = _UNKNOWN | _LARGE
_NUMBER = _AMOUNT | {"negative"}  # a number without a range of its own
_WITHOUT_INTERVAL = r"within_bin_\w+|reliability|resolution|uncertainty|ece_over|ece_under|adaptive_ece|classwise_ece"
_SHARES = r"(teacher_)?accuracy|brier|(\w+_)?ece(_\w+)?|mean_confidence|teacher_agreement"
_MAPPING = {"object", EXTRA}
_OBJECTS = {"object"}  # a mapping of records
_VARIANT = (
    (r"variant\.(teacher\.)?objective\.(text|kind|name)|variant\.outliers", {"text"}),
    (r"variant\.(method|step)\.(name|settings)", {"text"}),
    (r"variant\.(method|step)\.untaught", {"null"}),
    (r"variant\.teacher\.(name|origin|fingerprint|model)", {"text"}),
    (r"variant\.(teacher\.)?objective\.parameter", _NUMBER),
    (r"variant\.teacher(\.objective)?", {"null"}),
)
_RUN = (
    *_VARIANT,
    (r"data|model|folder", {"text"}),
    (rf"(metrics|history\[\]\.validation)\.({_SHARES})", {*_UNKNOWN, DELETED}),
    (r"(metrics|history\[\]\.validation)\.(nll|teacher_divergence)", {*_AMOUNT, DELETED}),
    (r"metrics\.overconfidence", {*_UNKNOWN, "negative", DELETED}),
    (r"metrics\.samples", {*_LARGE, DELETED}),
    (r"history\[\]\.parts\.\*", {*_NUMBER, DELETED}),
    (r"metrics|history\[\]\.(validation|parts)", _MAPPING),
    (r"history\[\]\.loss", _NUMBER),
    (r"(history\[\]\.)?(learning_rate|seconds|train_seconds|images_per_second)", _AMOUNT),
    (r"selected_from", {"null", *_LIST}),
    (r"best", {"null"}),
    (r"notices", _LIST),
    (r"digests\.\*", _FREE),
    (r"digests", _OBJECTS),
    (r"environments\[\]\.\w+", _FREE),
    (r"environments\[\]", {DELETED, *_OBJECTS}),
    (r"environments", _LIST),
)
_ENVIRONMENT = ((r"environment\.\*", _FREE), (r"environment", _OBJECTS))
_CACHE = RecordFile("cache.json", CacheKey)
KINDS = {
    "record": Kind("runs/vs-*/record.json", lambda path: read_record(path.parent), _RUN),
    "taught": Kind("taught/kd-*/record.json", lambda path: read_record(path.parent), _RUN),
    # Of the rows a reader takes the folder alone: the rest is for people and other programs.
    "summary": Kind("runs/summary.json", lambda path: load_comparison(path.parent), (
        (r"rows\[\]\.folder|rows", set()),
        (r"rows\[\]", {DELETED, EXTRA}),
        (r"aggregate\[\]", {DELETED, *_MAPPING}),
        (r"aggregate\[\]\..*", {*_ANY, DELETED, EXTRA}),
        (r"rows\[\]\..*", {*_ANY, DELETED, EXTRA}),
        (r"aggregate|classes", _LIST),
        (r"command", {"text"}),
        (r"classes\[\]", _FREE),
        *_ENVIRONMENT,
    )),
    "spec": Kind("runs/vs-*/spec.json", lambda path: read_claim(path.parent), (
        (r"spec\.(data|model)|data_fingerprint", {"text"}),
        (r"spec\.optimization\.(clip_norm|ema_decay)|spec\.augmentation\.(resized_crop|rand_augment)", {"null"}),
        (r"spec\.(train_limit|image_size)", {"null"}),
        (r"spec\.(optimization\.nesterov|augmentation\.flip|compile_model|sync_batchnorm)", {"true"}),
    )),
    "calibration": Kind("runs/vs-*/calibration.json", lambda path: read_calibration(path.parent), (
        # One end of an interval may be infinite, and so null.
        (rf"scores\.\*\.metrics\.({_WITHOUT_INTERVAL})\.(low|high)", _NUMBER),
        (r"scores\.\*\.metrics\.within_bin_\w+\.value", _NUMBER),
        (r"scores\.\*\.metrics\.\w+\.low", {*_UNKNOWN, "negative"}),
        (r"scores\.\*\.metrics\.(nll\.value|\w+\.high)", _AMOUNT),
        (r"scores\.\*\.metrics\.\w+\.value", _UNKNOWN),
        (r"scores\.\*\.metrics\.\w+", {DELETED}),
        (r"scores\.\*\.metrics", _OBJECTS),
        (r"scores\.\*\.diagram\.(edges|accuracy|confidence|low|high)\[\]", _UNKNOWN),
        (r"(temperature|vector)\.nll_\w+|temperature\.temperature", _AMOUNT),
        (r"vector\.(scale|bias)\[\]", _NUMBER),
        (r"(temperature|vector)\.converged", {"true"}),
        (r"temperature|vector|validation_samples|fewest_of_a_class", {"null"}),
        (r"origin", {"text"}),
    )),
    "shift": Kind("runs/vs-*/shift.json", lambda path: read_shift(path.parent), (
        (r"rows\[\]\.nll", _AMOUNT),
        (r"rows\[\]\.(accuracy|ece|mean_confidence)", _UNKNOWN),
    )),
    "inspection": Kind("runs/vs-*/inspection.json", lambda path: read_inspection(path.parent), (
        (r"virtual\.distances\.\w+", _AMOUNT),
        (r"virtual\.(alpha|mass_\w+|entropy|label_entropy|top_share)", _UNKNOWN),
        (r"similarity\.differences\.\*\.value|similarity\.template_variation", _NUMBER),
        (r"(similarity\.differences\.\*|overlap\.\*\.rank)\.low", {*_UNKNOWN, "negative"}),
        (r"(similarity\.differences\.\*|overlap\.\*\.rank)\.high", _AMOUNT),
        (r"overlap\.\*\.(rank\.value|cosine)", {*_UNKNOWN, "negative"}),
        (r"cka\.\*", {*_UNKNOWN, DELETED}),
        (r"overlap\.\*|similarity\.differences\.\*", {DELETED}),
        (r"cka", _MAPPING),
        (r"similarity\.values", _MAPPING),
        (r"similarity\.values\.\w+", {*_NUMBER, DELETED}),
        (r"overlap|similarity\.differences|digests", _OBJECTS),
        (r"digests\.\*", _FREE),
        (r"baseline", {"null", "text"}),
        (r"classes", _LIST),
        (r"virtual|similarity|similarity\.images_with_human_errors", {"null"}),
    )),
    "robust": Kind("runs/vs-*/attack/*/robust.json", read_record_file, (
        (r"threat\.low", {"negative"}),
        (r"columns\[\]\.attacks\[\]\.settings\.\*", {*_ANY, DELETED}),
        (r"columns\[\]\.attacks\[\]\.settings", _MAPPING),
        (r"columns(\[\]\.attacks)?|sanity\.(steps|epsilons)|autoattack_flags|notes", _LIST),
        (r"columns\[\](\.attacks\[\])?|sanity\.(steps|epsilons)\[\]", {DELETED}),
        (r"columns\[\]\.name|columns\[\]\.attacks\[\]\.name", {"text"}),
        (r"weights|autoattack_version|transfer_from", {"text"}),
        (r"seconds|sanity\.(steps|epsilons)\[\]\.at", _AMOUNT),
        (r"sanity\.zero_gradient_share", _UNKNOWN),
        (r"threat\.high", _LARGE),
        (r"sanity(\.surface)?", {"null"}),
        (r"sanity\.surface\.(along_\w+\[\]|loss\[\]\[\])", _NUMBER),
        (r"digests\.\*", _FREE),
        (r"digests", _OBJECTS),
        *_ENVIRONMENT,
    )),
    "cache": Kind("taught/teacher-cache/*/cache.json", _CACHE.read_file, (
        (r"teacher|precision|data", {"text"}),
        (r"augmentation\.flip", {"true"}),
        (r"augmentation\.(resized_crop|rand_augment)|storage\.top_k", {"null"}),
        (r"storage\.tau", _LARGE),
    )),
}


@pytest.fixture(scope="module")
def damaged_root(saved_whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with every kind of record."""
    root = shutil.copytree(saved_whole, tmp_path_factory.mktemp("fuzzed") / "whole")
    (run,) = (root / "runs").glob("vs-*")
    assert main(["calibrate", str(run), *FEW, "--shift", "--corruptions", "fog", "--shift-images", "8"]) == 0
    (robust,) = run.glob("attack/*/robust.json")
    write_robust(replace(read_record_file(robust), sanity=SANITY), robust.parent)
    return root


def is_on_purpose(kind: Kind, damage: Damage) -> bool:
    found = (kinds for pattern, kinds in kind.accepted if re.fullmatch(pattern, damage.field))
    return damage.kind in next(found, set())


def outcome(read: Callable[[Path], Any], path: Path, damage: Damage) -> str:
    """"accepted", "refused" in one line that names file and field, or what went wrong."""
    try:
        with limited():
            read(path)
    except ValueError as error:
        told, outermost = str(error), str(damage.path[0])
        named = str(path.parent) in told and (outermost in told or "nested too deeply" in told or damage.kind == EXTRA)
        return "refused" if named and "\n" not in told and len(told) < 600 else f"says: {told[:300]}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "accepted"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
@pytest.mark.parametrize("name", list(KINDS))
def test_every_field_of_every_record(damaged_root: Path, name: str) -> None:
    kind = KINDS[name]
    (path,) = damaged_root.glob(kind.file)
    text = path.read_text()
    kind.read(path)
    wrong, tried = [], damages(text)
    try:
        for damage in tried:
            path.write_text(damage.done_to(text))
            found = outcome(kind.read, path, damage)
            if found != ("accepted" if is_on_purpose(kind, damage) else "refused"):
                wrong.append(f"{damage.field}, {damage.kind}: {found}")
    finally:
        path.write_text(text)
    assert wrong == [], "\n".join([f"{len(wrong)} of {len(tried)}", *wrong])
    assert len(tried) > 50


VERBS = {
    "record": (["evaluate", "RUN"], ["report", "RUNS"], ["calibrate", "RUN", *FEW], ["compare"]),
    "summary": (["report", "RUNS"],),
    "spec": (["evaluate", "RUN"], ["inspect", "RUN", *FEW], ["compare"]),
    "calibration": (["report", "RUNS"],),
    "shift": (["report", "RUNS"],),
    "inspection": (["report", "RUNS"],),
    "robust": (["report", "RUNS"], ["attack", "RUN", "--verify", "IMAGES"]),
    "cache": (["distill"],),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
@pytest.mark.parametrize("name", list(VERBS))
def test_what_the_command_line_says(
    damaged_root: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    kind = KINDS[name]
    (path,) = damaged_root.glob(kind.file)
    text = path.read_text()
    runs = damaged_root / "runs"
    (run,), (images,) = runs.glob("vs-*"), runs.glob("vs-*/attack/*/adversarial.safetensors")
    meant = {"RUN": [str(run)], "RUNS": [str(runs)], "IMAGES": [str(images)]}
    labels = ["--labels", "one-hot", "vs:0.3"]
    meant["compare"] = ["compare", *labels, "--data", str(toy_folder), "--out", str(runs), *TINY]
    meant["distill"] = ["distill", *taught_by(run, damaged_root, toy_folder), "--gamma", "0.3"]
    refused = [damage for damage in damages(text) if not is_on_purpose(kind, damage)]
    try:
        for words in VERBS[name]:
            for damage in refused[:: len(refused) // 5]:
                path.write_text(damage.done_to(text))
                capsys.readouterr()
                with limited():
                    status = main([part for word in words for part in meant.get(word, [word])])
                told = capsys.readouterr().err
                assert status == 2, (words, damage)
                assert re.fullmatch(r"vsmooth: [^\n]+\n", told), told
                assert str(path.parent) in told
    finally:
        path.write_text(text)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_record_of_an_earlier_schema_is_refused(damaged_root: Path, name: str) -> None:
    kind = KINDS[name]
    (path,) = damaged_root.glob(kind.file)
    text = path.read_text()
    try:
        for schema, remedy in ((1, "this vsmooth reads 3; "), (4, "this vsmooth reads 3; upgrade vsmooth")):
            path.write_text(json.dumps({**json.loads(text), "schema": schema}))
            with pytest.raises(ValueError, match=rf"{re.escape(str(path))} has schema {schema}, {remedy}"):
                kind.read(path)
    finally:
        path.write_text(text)
