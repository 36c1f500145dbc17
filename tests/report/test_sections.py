"""An analysis is presented once: page, terminal and Markdown show the same titles, words and cells."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from inspection_builders import inspect_by_hand
from record_builders import epoch_record
from rich.console import Console
from robust_record_builders import attack_by_hand
from test_page_sections import write_shift

from vsmooth.experiments.calibration import calibrate_run
from vsmooth.records.calibration import CalibrationSettings
from vsmooth.records.comparison import Comparison
from vsmooth.report import print_sections, sections_to_html, sections_to_markdown
from vsmooth.report.comparison.training_sections import training_sections
from vsmooth.report.page import ANALYSES, page_sections
from vsmooth.report.render.html import typeset
from vsmooth.report.render.markdown import ReportFolder
from vsmooth.report.render.table import Cell, Column, Table
from vsmooth.report.section import Bullets, Caption, Details, Figure, Panels, Part, Section, Text, figures_of, tables_of


@pytest.fixture
def analysed(make_comparison: Callable[..., Comparison]) -> Comparison:
    """Two seeds of three alphas, with the records of every analysis."""
    cases = ("one-hot", 0.0, 3.6, 0.62), *(("virtual-smoothing", alpha, 3.6, 0.9) for alpha in (0.1, 0.3, 0.5))
    made = make_comparison(seeds=2, cases=cases)
    for run in made.runs:
        folder = Path(made.directory, run.folder)
        (folder / "predictions-validation.npz").write_bytes((folder / "predictions-test.npz").read_bytes())
        calibrate_run(folder, CalibrationSettings(resamples=40))
    inspect_by_hand(made)
    write_shift(made)
    attack_by_hand(made)
    return made


def printed(*sections: Section, width: int = 500) -> str:
    stream = io.StringIO()
    print_sections(sections, Console(file=stream, width=width))
    return stream.getvalue()


def speaks(section: Section) -> bool:
    """Whether anything is left of it without figures."""
    return any(not isinstance(part, Figure | Panels | Caption | Details) for part in section.parts)


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda module: module.__name__.split(".")[-2])
def test_titles_and_cells_are_the_same_everywhere(analysis: ModuleType, analysed: Comparison) -> None:
    sections = analysis.sections(analysed)
    titles = [section.title for section in sections]
    assert titles
    spoken = [section.title for section in sections if speaks(section)]
    page, markdown, terminal = sections_to_html(sections), sections_to_markdown(sections), printed(*sections)
    assert [unescape(words) for words in re.findall(r"<h2>(.*?)</h2>", page)] == [typeset(words) for words in titles]
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == spoken
    assert [line for line in terminal.splitlines() if line in titles] == spoken
    for table in tables_of(*sections):
        for row in table.rows:
            for cell in row:
                assert cell.text.replace("<", "&lt;").replace("|", r"\|") in markdown
                assert typeset(cell.text) in unescape(page)
    open_tables = [table for section in sections for table in tables_of(*unfolded(section))]
    assert open_tables or not spoken
    assert all(cell.text in terminal for table in open_tables for row in table.rows for cell in row)


def unfolded(section: Section) -> list[Part]:
    found: list[Part] = []
    for part in section.parts:
        found += unfolded(part) if isinstance(part, Section) else [] if isinstance(part, Details) else [part]
    return found


def test_figures_of_a_page_have_names_of_their_own(analysed: Comparison) -> None:
    names = [figure.name for figure in figures_of(*page_sections(analysed))]
    assert len(names) == len(set(names)) > 15


def cell_texts(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    cells = (re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows)
    return [[unescape(re.sub("<.*?>", "", cell)) for cell in row] for row in cells]


def test_one_table_in_three_forms() -> None:
    rows = (Cell("a"), Cell("0.10", "-0.2"), Cell("yes", holds=True)), (Cell("b"), Cell("0.3", best=True), Cell("no"))
    section = Section("T", Table((Column("Label"), Column("x"), Column("Here", prose=True)), rows, ("note",)))
    expected = [["Label", "x", "Here"], ["a", "0.10−0.2", "✓ yes"], ["b", "★ 0.3", "no"]]
    assert cell_texts(sections_to_html([section])) == expected
    lines = [line.strip("| ").split(" | ") for line in sections_to_markdown([section]).splitlines() if line[:1] == "|"]
    assert lines[:1] + lines[2:] == [expected[0], ["a", "0.10<br>-0.2", "✓ yes"], ["b", "**★ 0.3**", "no"]]
    cells = [re.split(r" *[│┃] *", line)[1:-1] for line in printed(section).splitlines() if line[:1] in ("│", "┃")]
    assert cells == [expected[0], ["a", "0.10", "✓ yes"], ["", "-0.2", ""], ["b", "★ 0.3", "no"]]


def test_what_each_form_leaves_out() -> None:
    def draw() -> None:
        raise AssertionError("not drawn")

    figure = Figure("f", "a figure", draw)  # type: ignore[arg-type]
    parts = Text("words"), Bullets(("fine",), ("beware",)), Caption("how to read it"), figure
    section = Section("T", *parts, Details("more", (Section("inner", Text("folded")),)))
    assert printed(section, Section("only a figure", figure)).split() == ["T", "words", "beware", "fine"]
    markdown = sections_to_markdown([section, Section("only a figure", figure)])
    assert markdown == "## T\n\nwords\n\n- **beware**\n- fine\n\n### more\n\n#### inner\n\nfolded\n"
    folded = sections_to_html([Section("T", Details("more", (Text("a < b"),)), Caption("c")), Section("empty")])
    assert folded == "<section><h2>T</h2><details><summary>more</summary><p>a &lt; b</p></details><p>c</p></section>"


def test_markup_is_not_read_as_such() -> None:
    section = Section("[red]T", Text("[bold]x"), Bullets(("[b]",)))
    assert printed(section).split() == ["[red]T", "[bold]x", "[b]"]


def test_a_folder_has_its_text_before_its_figures(tmp_path: Path) -> None:
    from matplotlib.figure import Figure as Drawing

    seen: list[list[str]] = []

    def draw() -> Drawing:
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        return Drawing(figsize=(1, 1))

    folder = ReportFolder(tmp_path)
    folder.write("text", (Section("T", Text("x"), Figure("f", "d", draw)),))
    assert seen == []
    assert folder.finish() == ("text.md", "f.png", "f.pdf")
    assert seen == [["text.md"]]
    nothing = ReportFolder(None)
    nothing.write("text", (Section("T", Figure("f", "d", draw)),))
    assert nothing.finish() == ()
    assert len(seen) == 1


def test_parts_of_a_loss_are_drawn_where_there_are_several(analysed: Comparison) -> None:
    titles = [section.title for section in training_sections(analysed) if section.parts]
    assert "Parts of the training loss" not in titles
    epoch = replace(epoch_record(1, 2.0, 0.1, 1.0, 9.0, 0.5, 1.0, 0.1, 0.6), parts={"kd": 1.5, "ce": 0.5})
    made = replace(analysed, runs=tuple(replace(run, history=(epoch,)) for run in analysed.runs))
    (section,) = (one for one in training_sections(made) if one.title == "Parts of the training loss")
    assert [figure.description for figure in figures_of(section)] == ["kd by epoch", "ce by epoch"]
    first = next(figures_of(section)).draw()
    assert [line.get_ydata().tolist() for line in first.axes[0].lines] == [[1.5]] * 4
