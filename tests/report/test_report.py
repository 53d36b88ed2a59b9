"""The report of an experiment: what it says, what it leaves out, and that it holds together as a page."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.cli import SMALL, normbench, refused
from helpers.results import make_results
from helpers.synthetic import make_run
from rich.console import Console

from normbench.analysis import Chart, Comparison, Line
from normbench.console.output import Output
from normbench.console.report import ReportProgress
from normbench.report.accuracies import accuracies_figure, accuracies_plot
from normbench.report.charts import chart_plot
from normbench.report.experiment import collect
from normbench.report.figure import drawing, legend, new_figure

VOID = {"meta", "link", "br", "hr", "img", "input"}
ARGUMENTS = ("--dataset", "digits", "--subset", "512", "--set", SMALL)
SECTIONS = [
    "comparison", "differences", "curves", "classes", "confusions", "mistakes", "norms", "configuration", "reproduce",
]  # fmt: skip


class Page(HTMLParser):
    """Parsed page: fails on tags that do not nest, and keeps tags and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.open, self.tags, self.strings = text, [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "title", "desc"}:
            self.strings.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes, _ in self.tags if tag in tags]

    @property
    def visible(self) -> str:
        return " ".join(" ".join(self.strings).split())


def report(folder: Path, *arguments: object) -> Page:
    answer = normbench("report", folder, *arguments)
    assert answer.code == 0, answer.stderr
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("experiment")
    made = normbench(
        "compare", *ARGUMENTS, "--norms", "bn,gn,ln", "--lr", 0.02, "--seeds", 2, "--epochs", 2, "--out", out
    )
    assert made.code == 0, made.stderr
    return out / "baseline"


@pytest.fixture
def copy(experiment: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(experiment, tmp_path / "runs" / "mine", ignore=shutil.ignore_patterns("plots")))


@pytest.fixture(scope="module")
def page(experiment: Path) -> Page:
    return report(experiment)


def doctor(run: Path, **changes: object) -> None:
    """Change the result of a run, and the settings that it repeats."""
    for name in ("result.json", "config.json"):
        content = json.loads((run / name).read_text())
        content |= {key: value for key, value in changes.items() if key in content}
        (run / name).write_text(json.dumps(content))


def test_the_page_answers_first_and_has_every_section_in_order(page):
    idents = [attributes.get("id") for attributes in page.all("h2")]
    assert idents == ["conclusions-title", *SECTIONS]
    assert re.search(r"\w\w leads with \d+\.\d\d % test accuracy \(mean over seeds 0-1\)", page.visible)
    assert "3 pairs of norms together (Holm)" in page.visible
    assert "embedded digits, not CIFAR-10" in page.visible
    assert "Left out" not in page.visible


def test_headings_come_in_order_under_one_h1_and_landmarks_are_there(page):
    levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "main", "nav", "footer"):
        assert len(page.all(landmark)) == 1
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("a")[0]["href"] == "#main"


def test_everything_that_refers_to_an_id_finds_it_and_ids_are_unique(page):
    idents = [attributes["id"] for _, attributes, _ in page.tags if "id" in attributes]
    assert len(idents) == len(set(idents))
    for _, attributes, _ in page.tags:
        for ident in attributes.get("aria-labelledby", "").split():
            assert ident in idents
        for name in ("href", "xlink:href"):
            if attributes.get(name, "").startswith("#"):
                assert attributes[name][1:] in idents
    assert set(re.findall(r"url\(#([^)]*)\)", page.text)) <= set(idents)


def test_every_picture_has_a_title_and_a_description(page):
    pictures = [index for index, (tag, _, _) in enumerate(page.tags) if tag == "svg"]
    assert len(pictures) == 1 + 1 + 2 + 1 + 3 + 3  # accuracies, differences, curves, classes, confusions, axes
    for index in pictures:
        assert page.tags[index][1]["role"] == "img"
        assert [tag for tag, _, _ in page.tags[index + 1 : index + 3]] == ["title", "desc"]


def test_the_accuracies_of_every_seed_come_first(experiment, page):
    plots = [attributes for attributes in page.all("svg") if attributes["class"] == "plot"]
    assert plots[0]["aria-labelledby"] == "accuracies-title accuracies-desc"
    picture = ET.parse(experiment / "plots" / "accuracies.svg").getroot()
    labels = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"bn", "gn", "ln", "test accuracy"} <= labels


def test_no_axis_of_accuracies_leaves_0_to_100_percent(tmp_path):
    """Three accuracies near 100 % have an interval that ends above it."""
    for seed, accuracy in enumerate((0.92, 0.99, 1.0)):
        make_run(tmp_path, "bn", seed, accuracy)
        make_run(tmp_path, "gn", seed, 1 - accuracy)
    comparison = collect(tmp_path / "many").comparison
    assert max(row.test_accuracy.high for row in comparison.rows) > 1
    assert min(row.test_accuracy.low for row in comparison.rows) < 0
    with drawing():
        (axes,) = accuracies_figure(comparison).axes
    assert axes.get_xlim() == (0, 1)


def test_the_current_step_is_named_on_a_terminal_alone():
    shown = {}
    for terminal in (True, False):
        output, stream = Output(), io.StringIO()
        output.stderr = Console(file=stream, force_terminal=terminal, width=80)
        with ReportProgress(output) as progress:
            progress.step("the curves of [b]")
        shown[terminal] = stream.getvalue()
    assert "report: the curves of [b] ..." in shown[True]
    assert shown[False] == ""


def test_a_plot_shows_control_characters_and_lone_surrogates_of_a_name_in_every_format():
    results = make_results(**{"bn": [0.5, 0.6], "a\x1b\n\udcff<b>": [0.4, 0.6]})
    plot = accuracies_plot(Comparison.of(results))
    assert r">a\x1b\n\udcff&lt;b&gt;</text>" in plot.svg
    assert "<b>" not in plot.svg
    assert plot.pdf.startswith(b"%PDF")
    assert plot.png.startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["lines", "bars"])
def test_no_axis_of_a_chart_of_shares_leaves_0_to_100_percent(kind):
    """A band that ends beyond both; a failed run has its mark below 0 %, where no number stands."""
    ends = {"low": (-0.3, 0.5), "high": (0.5, 1.3)}
    line = Line(label="bn", x=(0, 1), y=(0.1, 0.9), unfinished=(1,), **ends)
    chart = Chart(name="x", title="", x_label="", y_label="", kind=kind, lines=(line,), ticks=("a", "b"), percent=True)
    numbers = [float(number) for number in re.findall(r">(\S+) %</text>", chart_plot(chart).svg)]
    assert len(numbers) > 2
    assert min(numbers) == 0
    assert max(numbers) == 100


def test_a_legend_of_many_norms_takes_no_room_from_the_plot():
    heights = []
    for count in (2, 17):
        with drawing():
            figure, axes = new_figure(3.3)
            for index in range(count):
                axes.plot([0, 1], [0, 1], label=f"norm-{index}")
            legend(axes)
            figure.draw_without_rendering()
        heights.append(axes.get_window_extent().height)
    assert heights[1] == pytest.approx(heights[0], rel=0.05)


def test_mistakes_are_shown_with_their_classes_and_match_the_evaluation(experiment, page):
    run = next(experiment.glob("gn-s0-*"))
    confusion = normbench("evaluate", run, "--json").document["test_confusion"]
    wrong = sum(map(sum, confusion)) - sum(row[index] for index, row in enumerate(confusion))
    assert f"gn, seed 0: {wrong} of the first {sum(map(sum, confusion))} test images are misclassified" in page.visible
    pictures = page.all("img")
    assert len(pictures) == 3 * 12
    for attributes in pictures:
        assert base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
        truth, predicted = re.fullmatch(r"(\d), classified as (\d)", attributes["alt"]).groups()
        assert truth != predicted
        assert f"{truth} → {predicted}" in page.visible


def test_without_weights_there_is_no_gallery_and_no_word_of_it(copy):
    for weights in copy.glob("*/model.safetensors"):
        weights.unlink()
    page = report(copy)
    assert page.all("img") == []
    assert "Misclassified" not in page.visible
    assert "Left out" not in page.visible


def test_chosen_columns_are_those_of_the_tables_for_a_paper(copy):
    answer = normbench("report", copy, "--columns", "Parameters,test-accuracy", "--json").document
    assert [Path(path).name for path in answer["tables"]] == ["table.md", "table.tex"]
    assert (copy / "table.md").read_text().splitlines()[0] == "| norm | parameters | test accuracy |"
    tex = (copy / "table.tex").read_text()
    assert "    norm & parameters & test accuracy \\\\\n" in tex
    assert re.findall(r"\\label\{(.*?)\}", tex) == ["tab:mine", "tab:mine-2"]
    refused(normbench("report", copy, "--columns", "test-acuracy"), 2, "unknown column", "test-accuracy")


def test_every_table_has_a_caption_and_scopes_and_can_be_scrolled_by_keyboard(page):
    tables = [index for index, (tag, _, _) in enumerate(page.tags) if tag == "table"]
    assert len(tables) == len(page.all("caption")) >= 8
    for index in tables:
        box = page.tags[index - 1]
        assert (box[1]["class"], box[1]["tabindex"]) == ("scroll", "0")
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}


def test_the_page_loads_nothing_and_runs_nothing(page):
    assert page.all("script", "iframe", "object", "embed") == []
    for _, attributes, _ in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert re.findall(r"url\((?!#)", page.text) == []
    assert "@import" not in page.text
    assert set(re.findall(r"https?://[^\s\"<]*", page.text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_plots_take_the_colours_of_the_page(page):
    plots = [attributes for attributes in page.all("svg") if attributes["class"] == "plot"]
    assert plots
    body = page.text[page.text.index("</style>") :]
    without_fallbacks = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", body)
    assert re.findall(r"#[0-9a-f]{6}\b", without_fallbacks) == []
    used = set(re.findall(r"var\(--([\w-]+)", body))
    assert used <= set(re.findall(r"--([\w-]+):", page.text))


def test_the_same_results_give_the_same_bytes(experiment, page):
    files = sorted((experiment / "plots").iterdir())
    before = {path.name: path.read_bytes() for path in files}
    assert report(experiment).text == page.text
    assert {path.name: path.read_bytes() for path in files} == before
    assert {path.suffix for path in files} == {".svg", ".png", ".pdf"}


def test_the_counts_of_the_confusions_are_those_of_the_evaluation(experiment, page):
    runs = [path for path in sorted(experiment.iterdir()) if path.name.startswith("gn-")]
    matrices = [normbench("evaluate", run, "--json").document["test_confusion"] for run in runs]
    first = [a + b for a, b in zip(*(matrix[3] for matrix in matrices), strict=True)]
    row = re.search(r'id="confusion-2-table-caption">gn.*?<th scope="row">3</th>(.*?)</tr>', page.text, re.DOTALL)
    assert [int(cell) for cell in re.findall(r"<td>(\d+)</td>", row[1])] == first


def test_the_document_names_every_file(experiment):
    document = normbench("report", experiment, "--json").document
    assert (document["command"], document["experiment"]) == ("report", "baseline")
    assert Path(document["report"]) == experiment / "report.html"
    assert {Path(path).name for path in document["plots"]} == {path.name for path in (experiment / "plots").iterdir()}
    assert normbench("report", experiment, "-q").stdout.strip() == str(experiment / "report.html")
    assert normbench("report", "baseline", "-q", "--out", experiment.parent).code == 0


def test_an_experiment_that_is_not_there_is_named_with_the_nearest(experiment):
    out = experiment.parent
    refused(normbench("report", "basline", "--out", out), 2, "no experiment 'basline'", "Did you mean 'baseline'?")
    run = next(path.name for path in experiment.iterdir() if path.name.startswith("bn-"))
    refused(normbench("report", experiment / run), 2, "is one run, not an experiment")
    refused(normbench("report", "x", "--out", out / "none"), 2, "no experiment 'x'", "There are no runs")


def test_the_control_can_be_chosen_and_must_be_there(experiment, copy):
    assert "Paired differences to gn" in report(copy, "--control", "gn").visible
    refused(normbench("report", copy, "--control", "gm"), 2, "unknown control norm 'gm'", "'gn'")


def test_names_from_the_user_are_escaped(copy):
    hostile = "x.py:<script>alert('&\"$x$')</script>"
    for run in copy.glob("gn-*"):
        doctor(run, norm=hostile)
        settings = json.loads((run / "env.json").read_text())
        (run / "env.json").write_text(json.dumps(settings | {"argv": ["normbench", "<img src=x onerror=y>"]}))
    renamed = Path(shutil.move(copy, copy.parent / "<b>&amp;"))
    page = report(renamed)
    assert page.all("script", "b") == []
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in page.all("img"))
    assert hostile in page.visible
    assert "<img src=x onerror=y>" in page.visible
    assert "Only its own code says what it averages over" in page.visible


def test_one_seed_leaves_out_the_differences_with_the_reason(copy):
    for run in copy.glob("*-s1-*"):
        shutil.rmtree(run)
    page = report(copy)
    assert "has the highest test accuracy" in page.visible
    assert "unknown whether that is more than chance" in page.visible
    assert "Left out. A difference takes two or more common seeds" in page.visible
    assert not (copy / "plots" / "differences.svg").exists()


def test_one_norm_has_nothing_to_be_compared_with(copy):
    for run in [*copy.glob("gn-*"), *copy.glob("ln-*")]:
        shutil.rmtree(run)
    page = report(copy)
    assert "There is no other norm here" in page.visible
    assert "Left out. There are no two ranked norms." in page.visible


def test_plots_of_an_earlier_report_do_not_stay_behind(copy):
    report(copy)
    assert (copy / "plots" / "differences.png").exists()
    (copy / "plots" / "mine.png").write_bytes(b"")
    for run in copy.glob("*-s1-*"):
        shutil.rmtree(run)
    report(copy)
    names = {path.name for path in (copy / "plots").iterdir()}
    assert "mine.png" in names
    assert not names & {"differences.png", "differences.pdf", "differences.svg"}


def test_a_search_is_told_as_one(tmp_path):
    made = normbench(
        "compare", *ARGUMENTS, "--norms", "bn,gn", "--lr", "0.01,0.1", "--val-split", "0.1", "--epochs", 1,
        "--out", tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.stderr
    page = report(tmp_path / "baseline")
    assert "The best settings of the search, by validation accuracy: bn: lr" in page.visible
    assert page.visible.count("best on validation") == 2
    assert "[norm.bn]" in page.visible
    assert page.visible.count("A search leaves the test images unread") == 2
    assert page.all("img") == []
    assert "Validation accuracy, at the best setting of the search" in page.visible
    assert "Validation loss by epoch" in page.visible


def test_settings_of_one_norm_stand_side_by_side(copy):
    for run in copy.glob("gn-*"):
        config = json.loads((run / "config.json").read_text())
        config["norm"], config["training"]["lr"] = "bn", 0.05
        (run / "config.json").write_text(json.dumps(config))
        doctor(run, norm="bn", lr=0.05)
    page = report(copy)
    assert (
        "bn ran with several settings (lr 0.02; lr 0.05): such runs are not ranked by the test images" in page.visible
    )
    assert "ln reaches" in page.visible, "the one norm that is left to be ranked"
    assert "Paired differences to" not in page.visible
    refused(normbench("report", copy, "--control", "bn"), 2, "bn ran with several settings", "cannot be the control")
    assert "Settings that differ" in page.visible
    assert "training.lr" in page.visible


def test_runs_on_other_terms_and_unfinished_ones_are_left_out_and_named(copy):
    train = ("train", *ARGUMENTS, "--norm", "in", "--epochs", 1, "--out", copy.parent)
    assert normbench(*train).code == 0
    stray = shutil.move(next(copy.parent.glob("baseline/in-*")), copy)
    shutil.copytree(next(copy.glob("ln-s0-*")), copy / "a-copy")
    (next(copy.glob("bn-s1-*")) / "result.json").unlink()
    page = report(copy)
    assert f"{Path(stray).name} it is not on equal terms: training.epochs = 1 instead of 2" in page.visible
    assert "it is a copy" in page.visible
    assert "it has not finished an epoch" in page.visible
    assert "Instance Normalization" not in page.visible


def test_norms_with_unequal_seeds_are_ranked_on_common_ones(copy):
    for run in copy.glob("*-s1-*"):
        if run.name.startswith("bn"):
            shutil.rmtree(run)
    page = report(copy)
    assert "unequal seeds: bn 0; gn 0-1; ln 0-1" in page.visible
    assert "with seed 0" in page.visible or "has the highest test accuracy" in page.visible


def test_runs_that_diverged_are_in_no_mean_and_are_said(copy):
    for run in copy.glob("ln-*"):
        result = json.loads((run / "result.json").read_text())
        lost = dict.fromkeys(
            [key for key in result if key.startswith(("train_acc", "train_loss", "test_acc", "test_l"))]
        )
        (run / "result.json").write_text(json.dumps(result | lost | {"status": "diverged", "problem": "lr too high"}))
    page = report(copy)
    assert (
        "Diverged: 2 of 2 runs of ln. These have no mean accuracy, and they rank below all norms without one."
        in page.visible
    )
    assert "seed 0 diverged: lr too high" in page.visible
    assert page.text.count("<td>2 of 2 diverged</td>") == 3  # train and test accuracy, and the difference


def test_without_its_data_set_a_report_says_what_is_missing(copy):
    for run in copy.iterdir():
        if (run / "config.json").exists():
            config = json.loads((run / "config.json").read_text())
            config["data"]["name"] = "cifar10"
            (run / "config.json").write_text(json.dumps(config))
    page = report(copy, "--data-dir", copy / "nowhere")
    assert page.visible.count("Left out.") == 1, "what runs kept needs no images"
    assert "Left out. bn, gn, ln: the data set is not available:" in page.visible
    for kept in copy.glob("*/confusion.json"):
        kept.unlink()
    page = report(copy, "--data-dir", copy / "nowhere")
    assert "could not be evaluated again: the data set is not available:" in page.visible
    assert "leads with" in page.visible


def test_runs_that_kept_no_confusions_or_wrong_ones_are_scored_from_their_weights(experiment, copy, page):
    for index, kept in enumerate(sorted(copy.glob("*/confusion.json"))):
        content = json.loads(kept.read_text())
        content["counts"][0][0] += 1
        if index % 2:
            kept.unlink()
        else:
            kept.write_text(json.dumps(content))
    matrices = [re.findall(r'id="confusion-.*?</table>', text, re.DOTALL) for text in (page.text, report(copy).text)]
    assert matrices[0] == matrices[1]


def test_damaged_confusions_cost_no_report(copy):
    for kept in copy.glob("*/confusion.json"):
        kept.write_text('{"classes": ["a"], "counts": [[1, 2]]}')
    for weights in copy.glob("*/model.safetensors"):
        weights.unlink()
    assert "could not be evaluated again" in report(copy).visible


def test_damaged_epochs_cost_a_curve_and_not_the_report(copy):
    (next(copy.glob("gn-s0-*")) / "metrics.jsonl").write_text("{}\n")
    assert "gn, seed 0, has no curve" in report(copy).visible


def test_a_folder_that_cannot_be_written_is_said(copy):
    (copy / "plots").write_text("in the way")
    refused(normbench("report", copy), 1, "cannot write", "plots")


def test_what_draws_a_report_is_loaded_by_it_alone_and_torch_only_for_saved_networks():
    code = (
        "import normbench.report, normbench.cli.main, sys; print({'matplotlib', 'jinja2'} & sys.modules.keys());"
        "import normbench.report.write; print({'torch', 'matplotlib'} & sys.modules.keys())"
    )
    checkout = Path(__file__).resolve().parent.parent.parent
    loaded = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n{'matplotlib'}\n"
