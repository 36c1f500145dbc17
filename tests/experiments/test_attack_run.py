"""Finished runs under attack against attacks made by hand; resumed, read back, verified, tampered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vsmooth.attacks import PGD, ThreatModel
from vsmooth.data import Dataset
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.evaluate import Budget, attack_target
from vsmooth.experiments.ownership import LOCK_FILE
from vsmooth.experiments.robust import attack as attack_run_module
from vsmooth.experiments.robust import verify as verify_module
from vsmooth.experiments.robust.attack import attack_run
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.robust.plan import plan_attack
from vsmooth.experiments.robust.verify import verify_attack
from vsmooth.experiments.run_paths import open_run
from vsmooth.records.json_files import read_json, write_json
from vsmooth.records.robust import (
    ADVERSARIAL_FILE,
    ROBUST_FILE,
    Adversarial,
    read_robust,
    robust_records,
)

FEW = AttackOptions(
    ThreatModel(epsilon=0.05),
    images=40,
    attacks=("pgd", "cw", "multi-target", "lambda-sweep"),
    budget=Budget(steps=4, apgd_steps=3, queries=20, own_steps=4, restarts=1),
    batch_size=6,
    sanity_images=0,
)
Runs = dict[str, Path]


def _tell(told: list[tuple[str, str, int, int, int]]) -> Callable[[str, str, int, int, int], None]:
    return lambda *news: told.append(news)


def test_a_run(run_of: Runs, toy_dataset: Dataset) -> None:
    told: list[tuple[str, str, int, int, int]] = []
    record = attack_run(run_of["vs"], toy_dataset, FEW, _tell(told))
    folder, = robust_records(run_of["vs"])
    assert folder.name.startswith("linf-0.05-n40-")
    assert sorted(path.name for path in folder.iterdir()) == [ADVERSARIAL_FILE, ROBUST_FILE]
    assert (record.images, record.split_images, record.num_classes, record.num_virtual) == (40, 80, 4, 3)
    assert [(column.name, column.on) for column in record.columns] == [
        ("PGD-4 real", "right"), ("CW-4 real", "right"), ("PGD-4 all", "right"), ("CW-4 all", "right"),
        ("Multi-target PGD", "standing"), ("Lambda sweep", "standing"),
    ]
    assert (record.sanity, record.autoattack_version, record.transfer_from) == (None, "", "")

    model = open_run(run_of["vs"], toy_dataset).eval()
    indices = evenly_spaced(80, 40)
    images, labels = toy_dataset.test.images[indices].float() / 255, toy_dataset.test.labels[indices]
    target = attack_target(model, images, num_classes=4, fold=False)
    right = target.right(images, labels)
    broken = PGD("ce", steps=4, step_size=0.0125)(target, images, labels, FEW.threat).fooled
    assert record.clean.count == int(right.sum())
    assert record.columns[0].attacked == int(right.sum())
    assert record.columns[0].standing.count == int((~broken).sum())
    assert record.headline.count <= min(column.standing.count for column in record.columns)
    assert 0 < record.headline.count < record.clean.count
    assert {news[0] for news in told} == {column.name for column in record.columns}

    saved = Adversarial.load(folder / ADVERSARIAL_FILE)
    assert torch.equal(saved.indices, indices)
    assert torch.equal(saved.labels, labels)
    with torch.inference_mode():
        assert torch.equal(model(saved.images).argmax(1), saved.decisions)
        assert torch.equal(model(images).argmax(1), saved.clean_decisions)
    assert int((saved.decisions == labels).sum()) == record.headline.count


def test_finished_is_read_back_and_other_questions_have_other_folders(run_of: Runs, toy_dataset: Dataset) -> None:
    first = attack_run(run_of["one"], toy_dataset, FEW)
    told: list[tuple[str, str, int, int, int]] = []
    assert attack_run(run_of["one"], toy_dataset, FEW, _tell(told)) == first
    assert told == []
    others = [
        replace(FEW, seed=1), replace(FEW, batch_size=8), replace(FEW, threat=ThreatModel("l2", 0.5)),
        replace(FEW, attacks=("pgd",)), replace(FEW, budget=replace(FEW.budget, steps=5)), replace(FEW, images=None),
        replace(FEW, attacks=(*FEW.attacks, "transfer"), transfer_from=run_of["vs"]),
        replace(FEW, on="standing", attacks=("cw", "pgd")),
    ]
    names = {
        option.folder(option.images or 80, "weights", "source" if option.transfer_from else "")
        for option in (FEW, *others)
    }
    assert len(names) == 9
    assert FEW.folder(40, "weights", "") != FEW.folder(40, "other", "")
    one, other = (replace(FEW, attacks=order).folder(40, "w", "") for order in (("cw", "pgd"), ("pgd", "cw")))
    assert one == other
    options = replace(FEW, attacks=("transfer",), transfer_from=run_of["vs"])
    transferred = attack_run(run_of["one"], toy_dataset, options)
    assert transferred.transfer_from == "VS 0.3 V=3, seed 0"
    assert [column.name for column in transferred.columns] == ["Transfer"]
    assert [attack.name for attack in transferred.columns[0].attacks] == [
        "PGD-4 momentum from VS 0.3 V=3, seed 0", "CW-4 momentum from VS 0.3 V=3, seed 0"
    ]
    assert len(read_robust(run_of["one"])) == 2


def test_another_process_at_the_same_evaluation(run_of: Runs, toy_dataset: Dataset) -> None:
    fcntl = pytest.importorskip("fcntl")
    place = plan_attack(run_of["one"], FEW).place(toy_dataset)
    place.mkdir(parents=True)
    with (place / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="is in use by another process; wait until it ends"):
            attack_run(run_of["one"], toy_dataset, FEW)
        attack_run(run_of["one"], toy_dataset, replace(FEW, seed=1))
    left = place / "parts" / "columns" / ".0.npz.7.partial"
    left.parent.mkdir(parents=True)
    left.touch()
    attack_run(run_of["one"], toy_dataset, FEW)
    assert sorted(path.name for path in place.iterdir()) == [ADVERSARIAL_FILE, ROBUST_FILE]


def test_interrupted_it_goes_on(run_of: Runs, toy_dataset: Dataset) -> None:
    class Stop(Exception):
        pass

    def stop(column: str, attack: str, done: int, total: int, standing: int) -> None:
        if column == "CW-4 real" and done > 6:
            raise Stop

    with pytest.raises(Stop):
        attack_run(run_of["vs"], toy_dataset, FEW, stop)
    assert read_robust(run_of["vs"]) == ()
    (parts,) = run_of["vs"].glob("attack/*/parts")
    assert len(list(parts.glob("columns/*/*.safetensors"))) > 4
    resumed = attack_run(run_of["vs"], toy_dataset, FEW)
    assert not parts.exists()
    images = Adversarial.load(parts.parent / ADVERSARIAL_FILE).images
    (parts.parent / ROBUST_FILE).unlink()
    anew = attack_run(run_of["vs"], toy_dataset, FEW)
    assert replace(anew, seconds=0, environment={}) == replace(resumed, seconds=0, environment={})
    assert torch.equal(Adversarial.load(parts.parent / ADVERSARIAL_FILE).images, images)


def test_autoattack_and_sanity(run_of: Runs, toy_dataset: Dataset) -> None:
    pyautoattack = pytest.importorskip("pyautoattack")
    options = replace(FEW, attacks=("aa", "aa+"), sanity_images=6, sanity_steps=(2, 4, 8))
    record = attack_run(run_of["vs"], toy_dataset, options)
    assert record.autoattack_version == pyautoattack.__version__
    assert [column.name for column in record.columns] == ["AA real", "AA all", "AA+ all"]
    assert [attack.name for attack in record.columns[0].attacks] == ["APGD-CE", "APGD-T", "FAB-T", "Square"]
    assert [attack.settings["targets"] for attack in record.columns[2].attacks] == [9, 6, 6, 9]
    assert record.columns[0].attacks[3].settings["queries"] == 20
    sanity = record.sanity
    assert sanity is not None
    assert sanity.images == 6
    assert [point.at for point in sanity.steps] == [2, 4, 8]
    assert sanity.epsilons[-1].standing.count == 0
    assert sanity.surface is not None
    assert sanity.surface.index in evenly_spaced(80, 40).tolist()
    assert read_robust(run_of["vs"]) == (record,)


class _Noisy(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits + 0.05 * torch.randn_like(logits)


class _Rounding(torch.autograd.Function):
    """To 6 bits; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        return (pixels * 63).round() / 63

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Rounded(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(_Rounding.apply(images))
        return logits


def test_a_random_network_is_told_and_attacked_on_mean_gradients(
    run_of: Runs, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(FEW, attacks=("aa",), images=16)
    sound = attack_run(run_of["ls"], toy_dataset, options)
    assert [column.name for column in sound.columns] == ["AA real"]
    monkeypatch.setattr(attack_run_module, "open_run", lambda *words: _Noisy(open_run(*words)))
    record = attack_run(run_of["ls"], toy_dataset, replace(options, seed=1))
    assert any("random" in flag for flag in record.autoattack_flags)
    assert [(column.name, column.on) for column in record.columns] == [("AA real", "right"), ("AA rand", "standing")]
    ce, dlr = record.columns[1].attacks
    assert [attack.name for attack in (ce, dlr)] == ["APGD-CE", "APGD-DLR"]
    assert {attack.settings["eot"] for attack in (ce, dlr)} == {20}
    assert record.headline.count <= record.columns[0].standing.count
    assert (sound.judgements, record.judgements) == (1, 20)
    monkeypatch.setattr(verify_module, "open_run", lambda *words: _Noisy(open_run(*words)))
    folder = next(folder for folder, found in robust_records(run_of["ls"]).items() if found.judgements == 20)
    assert verify_attack(run_of["ls"], toy_dataset, folder / ADVERSARIAL_FILE).holds


def test_a_network_that_cannot_be_folded_says_so_once(
    run_of: Runs, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack_run_module, "open_run", lambda *words: _Rounded(open_run(*words)))
    record = attack_run(run_of["vs"], toy_dataset, replace(FEW, attacks=("pgd",)))
    assert record.notes == ("BatchNorms were not folded, which is slower: folding would change its input gradients.",)
    assert read_robust(run_of["vs"]) == (record,)


def test_verify(run_of: Runs, toy_dataset: Dataset) -> None:
    record = attack_run(run_of["vs"], toy_dataset, FEW)
    (folder,) = robust_records(run_of["vs"])
    file = folder / ADVERSARIAL_FILE
    report = verify_attack(run_of["vs"], toy_dataset, file)
    assert report.holds
    assert (report.clean, report.standing, report.expected) == (record.clean, record.headline, record.headline)
    assert (report.outside, report.not_fooling, report.ties) == (0, 0, 0)
    assert 0.049 < report.farthest <= 0.05 + 1e-6

    arrays = load_file(file)
    clean = toy_dataset.test.images[arrays["indices"]].float() / 255
    broken = (arrays["clean_decisions"] == arrays["labels"]) & (arrays["decisions"] != arrays["labels"])
    one = int(broken.nonzero()[0])

    def tampered(**change: torch.Tensor) -> list[str]:
        save_file({**arrays, **change}, file)
        *found, last = verify_attack(run_of["vs"], toy_dataset, file).problems
        assert last.startswith(f"{file} is damaged or was replaced: its SHA-256 is ")
        return found

    harmless = arrays["images"].clone()
    harmless[one] = clean[one]
    assert tampered(images=harmless) == [
        "1 images that the file counts as broken are classified correctly",
        f"{record.headline.count + 1} of 40 stand, the record says {record.headline.count} of 40",
    ]
    far = clean + 1.2 * (arrays["images"] - clean)
    first, *_ = tampered(images=far)
    assert "images are outside the linf ball of epsilon 0.05 or outside [0, 1]; the farthest is 0.06 away" in first
    assert "1 of 40 images are outside" in tampered(images=arrays["images"].index_fill(0, torch.tensor([one]), 2.0))[0]
    few = {name: values[:30] for name, values in arrays.items()}
    assert tampered(**few)[0] == "the images are not the 40 evenly spaced ones of the record"
    with pytest.raises(ValueError, match="is of other images than the test split of toy"):
        tampered(labels=(arrays["labels"] + 1) % 4)
    with pytest.raises(ValueError, match="has images from outside the 80 of toy's test split"):
        tampered(indices=arrays["indices"] + 1)

    save_file(arrays, file)
    write_json(folder / ROBUST_FILE, {**_without_format(folder), "weights": "ffff"})
    (problem,) = verify_attack(run_of["vs"], toy_dataset, file).problems
    assert "a network with other weights (ffff) than this run has now" in problem
    (folder / ROBUST_FILE).unlink()
    with pytest.raises(ValueError, match="no file at"):
        verify_attack(run_of["vs"], toy_dataset, file)


def test_a_record_that_contradicts_itself(run_of: Runs, toy_dataset: Dataset) -> None:
    attack_run(run_of["vs"], toy_dataset, FEW)
    (folder,) = robust_records(run_of["vs"])
    written = _without_format(folder)
    first, *rest = written["columns"]
    (attack,) = first["attacks"]
    left, right = first["standing"]["count"], written["clean"]["count"]

    def claimed(**change: object) -> tuple[str, ...]:
        write_json(folder / ROBUST_FILE, {**written, **change})
        return verify_attack(run_of["vs"], toy_dataset, folder / ADVERSARIAL_FILE).problems

    assert claimed() == ()
    threat = written["threat"]
    assert claimed(threat={**threat, "epsilon": 0.1}) == ("the record says linf-0.1-n40, its folder linf-0.05-n40",)
    assert claimed(threat={**threat, "high": 2.0}) == ("its bounds are 0 and 2, but images are in [0, 1]",)
    assert claimed(columns=[]) == ("the record has no attack",)
    (problem,) = claimed(columns=[{**first, "attacks": [{**attack, "standing": 1}]}, *rest])
    assert problem.endswith(f"{first['name']} has {left} of 40 standing, its attacks leave 1 of {right}")
    (problem,) = claimed(num_classes=100)
    assert problem == "the record is of 80 images of 100 classes, toy has 80 of 4"
    (problem,) = claimed(split_images=50)
    assert problem == "the record is of 50 images of 4 classes, toy has 80 of 4"
    with pytest.raises(ValueError, match=r"is damaged: headline: the interval of \d+ of 40 is not 0.9 to"):
        claimed(headline={**written["headline"], "low": 0.9})


def test_a_file_whose_images_leave_the_unit_interval(run_of: Runs, toy_dataset: Dataset) -> None:
    attack_run(run_of["vs"], toy_dataset, FEW)
    (folder,) = robust_records(run_of["vs"])
    arrays, written = load_file(folder / ADVERSARIAL_FILE), _without_format(folder)
    images = arrays["images"].clone()
    images[:, 0, 0, 0] = 1.01
    save_file({**arrays, "images": images}, folder / ADVERSARIAL_FILE)
    write_json(folder / ROBUST_FILE, {**written, "threat": {**written["threat"], "high": 2.0, "epsilon": 1.0}})
    problems = verify_attack(run_of["vs"], toy_dataset, folder / ADVERSARIAL_FILE).problems
    assert any("40 of 40 images are outside" in problem for problem in problems)


def _without_format(folder: Path) -> dict[str, Any]:
    return read_json(folder / ROBUST_FILE)


def test_mistakes(run_of: Runs, toy_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was trained on other images"):
        attack_run(run_of["one"], toy_dataset.limited(100), FEW)
    with pytest.raises(ValueError, match="the test split of toy has 80 images, 81 are wanted"):
        attack_run(run_of["one"], toy_dataset, replace(FEW, images=81))
    with pytest.raises(ValueError, match="is not a run folder"):
        attack_run(tmp_path, toy_dataset, FEW)
    with pytest.raises(ValueError, match=r"l2 distance of any two images, .* did you mean 128/255"):
        attack_run(run_of["one"], toy_dataset, replace(FEW, threat=ThreatModel("l2", 128)))
    with pytest.raises(ValueError, match="nothing is left to attack with: lambda-sweep"):
        attack_run(run_of["one"], toy_dataset, replace(FEW, attacks=("lambda-sweep",)))
    assert read_robust(run_of["one"]) == ()
    for change, message in (
        ({"images": 0}, "images must be at least 1, got 0"),
        ({"sanity_images": -1}, r"sanity_images must be at least 0 .*, got -1"),
        ({"attacks": ("bim",)}, "unknown attack 'bim': choose from pgd, cw"),
        ({"attacks": ("transfer",)}, "transfer needs a run to transfer from"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(FEW, **change)  # type: ignore[arg-type]
    (run_of["ls"] / "record.json").unlink()
    with pytest.raises(ValueError, match="is not finished"):
        attack_run(run_of["ls"], toy_dataset, FEW)
