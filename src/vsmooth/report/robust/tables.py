"""Robust evaluation as tables and sentences: accuracy under each attack, the sanity block, settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vsmooth.records.robust import ColumnRecord, RobustRecord, headline_names
from vsmooth.records.sanity import FEWEST_ACCIDENTS, LEVEL, NOTABLE, SanityReport
from vsmooth.records.standing import Standing
from vsmooth.report.comparison.metrics import DAGGER, MISSING
from vsmooth.report.render.table import STAR, Cell, Column, Table
from vsmooth.report.robust.attacked import AttackedRun, threat_words

MOST_SIDE_BY_SIDE = 3  # runs that fit a terminal as columns
CLEAN, HEADLINE = "Clean", "Headline"


def robust_title(runs: Sequence[AttackedRun]) -> str:
    """The question that the runs were asked: "Under attack: L-inf, epsilon 8/255, 500 of 10,000 test images"."""
    record = runs[0].record
    of = "all" if record.images == record.split_images else f"{record.images:,} of"
    return f"Under attack: {threat_words(record)}, {of} {record.split_images:,} test images"


def robust_table(runs: Sequence[AttackedRun]) -> Table:
    """Accuracy in % under each attack with n and the 95 % interval; the headline is marked.

    A row for each attack and a column for each run, or the other way round for more than three runs.
    """
    names = _column_names(runs)
    titles = [CLEAN, *(_marked_name(runs, name) for name in names), HEADLINE]
    results = [
        [record.clean, *(None if found is None else found.standing for found in map(record.column, names)),
         record.headline]
        for record in (run.record for run in runs)
    ]
    notes = tuple(_notes(runs, names))
    if len(runs) <= MOST_SIDE_BY_SIDE:
        rows = tuple(
            (Cell(title, best=title == HEADLINE), *(_cell(values[place], title == HEADLINE) for values in results))
            for place, title in enumerate(titles)
        )
        return Table((Column("Accuracy %"), *(Column(run.name) for run in runs)), rows, notes)
    kept = [True, *map(_of_a_narrow_table, names), True]
    columns = (
        Column("Accuracy %"),
        *(Column(title.replace(" ", "\n", 1), keep) for title, keep in zip(titles, kept, strict=True)),
    )
    rows = tuple(
        (Cell(run.name), *(_cell(found, place == len(names) + 1) for place, found in enumerate(values)))
        for run, values in zip(runs, results, strict=True)
    )
    return Table(columns, rows, notes)


def _column_names(runs: Sequence[AttackedRun]) -> list[str]:
    """Of every run, in the order of the run with most of them."""
    by_length = sorted((run.record.columns for run in runs), key=len, reverse=True)
    return list(dict.fromkeys(column.name for columns in by_length for column in columns))


def _columns(runs: Sequence[AttackedRun], name: str) -> Iterable[ColumnRecord]:
    return (found for run in runs if (found := run.record.column(name)) is not None)


def _marked_name(runs: Sequence[AttackedRun], name: str) -> str:
    return f"{name} {DAGGER}" if any(found.on == "standing" for found in _columns(runs, name)) else name


def _of_a_narrow_table(name: str) -> bool:
    return name.startswith(("PGD-", "AA ")) and name.endswith("real")


def _cell(standing: Standing | None, headline: bool = False) -> Cell:
    if standing is None:
        return Cell(MISSING)
    return Cell(f"{100 * standing.accuracy:.1f}", _interval_text(standing), headline)


def _interval_text(standing: Standing) -> str:
    return f"n {standing.images:,} [{100 * standing.low:.1f}, {100 * standing.high:.1f}]"


def _notes(runs: Sequence[AttackedRun], names: Sequence[str]) -> Iterable[str]:
    records = [run.record for run in runs]
    columns = [found for record in records for found in record.columns]
    yield (
        "Of n images; those that were wrong before any attack count as fallen. In brackets the 95 % interval (Wilson) "
        "of this one network: another training of it differs by more."
    )
    if any(found.view == "all" for found in columns):
        yield (
            "Real: the K logits that decide are attacked. All: the K + V logits of training are, and an image has "
            "fallen when a wrong real class decides."
        )
    if any(found.on == "standing" for found in columns):
        before = "above it" if len(runs) <= MOST_SIDE_BY_SIDE else "to its left"
        yield f"{DAGGER} attacked only what stood everything {before}: the worst case so far, no number of its own."
    quoted = "what these attacks leave" if any(map(_left_out, records)) else "the number to quote"
    yield f"{STAR} {HEADLINE}: images that stood all attacks, {quoted}. A stronger attack can only lower it."
    if any(None in map(record.column, names) for record in records):
        yield f"{MISSING}: not attacked this way, or without virtual classes the same as another row."
    yield from _provenance(runs)


def _provenance(runs: Sequence[AttackedRun]) -> Iterable[str]:
    """What was different about an evaluation, said of all runs at once where it holds for all."""
    for text, holders in _said_by(runs).items():
        names = "" if len(holders) == len(runs) else f"{', '.join(holders)}: "
        yield f"{names}{text}"


def _said_by(runs: Sequence[AttackedRun]) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for run in runs:
        for text in _remarks(run.record):
            said.setdefault(text, []).append(run.name)
    return said


def _remarks(record: RobustRecord) -> Iterable[str]:
    if record.autoattack_version:
        yield f"AutoAttack: the official code, pyautoattack {record.autoattack_version}."
    else:
        yield "Without AutoAttack the headline is weaker evidence than the field expects."
    if missing := _left_out(record):
        yield f"Left out: {', '.join(missing)}. This headline is not one to quote."
    if record.transfer_from:
        yield f"Transfer: from {record.transfer_from}."
    if record.precision == "bf16":
        yield "Each column's first attack was made in bf16 first; what stood met all of them in fp32 before it counted."
    if record.judgements > 1:
        yield (
            f"This network is randomised: it was asked {record.judgements} times about each image. Right when clean: "
            "in more than half of them. Broken, in every column: wrong in at least 80 %."
        )
    yield from record.notes


def _left_out(record: RobustRecord) -> list[str]:
    return [name for name in headline_names(record.num_virtual) if record.column(name) is None]


def sanity_table(runs: Sequence[AttackedRun]) -> Table | None:
    """What the checks of the attacks found, a row for each run that has them."""
    checked = [(run, run.record.sanity) for run in runs if run.record.sanity is not None]
    if not checked:
        return None
    steps = [f"{point.at:,.0f}" for point in checked[0][1].steps]
    columns = (
        Column("Run"),
        *(Column(f"{count}\nsteps") for count in steps),
        Column("Widest ball\n(at epsilon)"),
        Column("Broken by\nSquare alone", False),
        Column("Gradient\nis 0", False),
    )
    note = (
        "Accuracy in % of n images that are right when clean, under margin PGD with ever more steps (it should level "
        "off) and in the widest ball tried (0 for a sound attack); how many only Square broke, which needs no "
        f"gradients (suspicious from {FEWEST_ACCIDENTS} images on, if an exact binomial test against {NOTABLE:.0%} of "
        f"the images gives p < {LEVEL:g}); where the gradient of the cross entropy is exactly 0."
    )
    rows = tuple(_sanity_row(run.name, report, steps) for run, report in checked)
    return Table(columns, rows, (note,), compact=True)


def _sanity_row(name: str, report: SanityReport, steps: Sequence[str]) -> tuple[Cell, ...]:
    by_steps = {f"{point.at:,.0f}": point.standing for point in report.steps}
    widest = Cell(MISSING)
    if report.epsilons:
        last = report.epsilons[-1]
        widest = Cell(f"{100 * last.standing.accuracy:.1f} at {last.at:.3g}", _interval_text(last.standing))
    flat = f"{100 * report.zero_gradient_share:.1f} %"
    return (
        Cell(name),
        *(_cell(by_steps.get(count)) for count in steps),
        widest,
        Cell(f"{report.square_broke:,}", f"of {report.images:,}"),
        Cell(flat, f"of {report.images:,}"),
    )


def suspicions(runs: Sequence[AttackedRun]) -> tuple[str, ...]:
    """A sentence for each sign that an attack failed, rather than that the network held; AutoAttack's flags too."""
    return tuple(
        f"{run.name}: {found}"
        for run in runs
        for found in (*run.record.findings, *(f"AutoAttack says: {flag}" for flag in run.record.autoattack_flags))
    )


def unsuspicious(runs: Sequence[AttackedRun]) -> str:
    """A sentence naming the runs whose checks found nothing; empty where there is none."""
    names = [
        run.name for run in runs
        if run.record.sanity is not None and not run.record.findings and not run.record.autoattack_flags
    ]
    if not names:
        return ""
    return f"{', '.join(names)}: nothing suspicious in the checks. They cannot prove that no stronger attack exists."


def flattered(runs: Sequence[AttackedRun]) -> tuple[str, ...]:
    """A sentence for each run of which an attack on all K + V logits says clearly more than the headline.

    Clearly: the two 95 % intervals do not meet, which is strict, as both are of the same images.
    """
    sentences = []
    for run in runs:
        whole = [found for found in run.record.columns if found.view == "all" and found.on == "right"]
        most, headline = max(whole, key=lambda found: found.standing.count, default=None), run.record.headline
        if most is not None and most.standing.low > headline.high:
            sentences.append(
                f"{run.name}: {most.name} leaves {100 * most.standing.accuracy:.1f} % standing, but the headline is "
                f"{100 * headline.accuracy:.1f} %: attacks on the K + V logits flatter this network."
            )
    return tuple(sentences)


def settings_table(run: AttackedRun) -> Table:
    """Every attack of one run in turn: settings, and how many images were left standing in its column after it."""
    columns = tuple(map(Column, ("Column", "Attack", "Attacked", "Still\nstanding", "Settings")))
    rows = []
    for column in run.record.columns:
        for place, attack in enumerate(column.attacks):
            attacked = column.attacked if place == 0 else column.attacks[place - 1].standing
            name = attack.name if attack.precision == "fp32" else f"{attack.name}, {attack.precision}"
            texts = column.name, name, f"{attacked:,}", f"{attack.standing:,}", _settings_text(attack.settings)
            rows.append(tuple(map(Cell, texts)))
    return Table(columns, tuple(rows), (f"{run.name}: seed {run.record.seed} of the attacks.",), compact=True)


def _settings_text(settings: Any) -> str:
    return ", ".join(f"{name} {_value_text(value)}" for name, value in settings.items() if value is not None)


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_settings_text(value)})"
    if isinstance(value, list | tuple):
        return "/".join(map(_value_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
