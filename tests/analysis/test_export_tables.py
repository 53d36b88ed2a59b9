"""The files that a comparison leaves: read back, and with text in them that means something to their format."""

import csv
import re

import pytest
from helpers.results import make_result

from normbench.analysis import Comparison, Table
from normbench.analysis.tables import runs_table
from normbench.errors import RunFailedError
from normbench.report import write_comparison
from normbench.report.export import to_csv, to_latex, to_markdown
from normbench.runs import RunResult

RUNS = [
    make_result("bn", 0, 0.5),
    make_result("bn", 1, 0.6),
    make_result("my_norms.py:half", 0, 0.4),
    make_result("my_norms.py:half", 1, 0.6),
    make_result("ln", 0, status="diverged", problem='diverged in epoch 1, "not finite"\nand so on'),
]


def test_files_of_a_comparison(tmp_path):
    written = write_comparison(tmp_path, Comparison.of(RUNS))
    assert [path.name for path in written] == ["results.csv", "table.md", "table.tex"]
    assert sorted(tmp_path.iterdir()) == sorted(written), "nothing half written is left behind"
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| bn | 50.00, 60.00 % |" in text.replace("| bn | - |", "| bn |")
    assert "| ln | 1 of 1 diverged | 1 of 1 diverged |" in text
    assert "the embedded digits, not CIFAR-10" in text
    assert "ln: seed 0 diverged: diverged in epoch 1" in text
    assert "Paired differences to bn (1-2 seeds)" in text
    assert (tmp_path / "table.tex").read_text(encoding="utf-8").count(r"\begin{table}") == 2


def test_a_search_leaves_the_runs_only(tmp_path):
    results = [make_result("bn", 0, None, lr=0.1), make_result("bn", 0, None, lr=0.2)]
    assert [path.name for path in write_comparison(tmp_path, Comparison.of(results))] == ["results.csv"]


def test_one_seed_has_no_table_of_differences(tmp_path):
    write_comparison(tmp_path, Comparison.of(RUNS[:1] + RUNS[2:3]))
    assert "Paired" not in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_csv_gives_every_field_of_every_run_back(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(to_csv(runs_table(RUNS)), encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    given = [{name: value or None for name, value in line.items()} for line in lines]
    assert [RunResult.model_validate(fields) for fields in given] == RUNS


SPECIAL = r"a_b & 5 % of #1 {x} $y ~z^2 \w <t> | c [d] *e* `f`"


def test_latex_escapes_what_latex_reads():
    text = to_latex(Table(title=SPECIAL, columns=("norm", "± σ"), rows=((SPECIAL, "-0.5"), ("[x]", "-"))))
    row = next(line for line in text.splitlines() if line.endswith(r"$-$0.5 \\"))
    assert row.strip().startswith(
        r"a\_b \& 5 \% of \#1 \{x\} \$y \textasciitilde{}z\textasciicircum{}2 \textbackslash{}w \textless{}t"
    )
    assert r"$\pm$ $\sigma$ \\" in text
    assert r"    {}[x] & - \\" in text
    for name in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(name) == 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert len(re.findall(r"(?<!\\)&", text)) == 3, "one a line of two columns"


def test_latex_sets_no_two_characters_as_one_and_keeps_labels_plain():
    table = Table(title="--seeds, ''x'' ,,y \"q\" `z`", columns=("norm",), rows=(("bn",),))
    text = to_latex(table, table, label="<b>&amp; \\input{x}")
    assert re.findall("--|''|,,|[\"`]", text) == []
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:b-amp-input-x", "tab:b-amp-input-x-2"]
    assert r"\label{tab:table}" in to_latex(table, label="名")


def test_markdown_escapes_what_markdown_reads():
    text = to_markdown(Table(title="caption", columns=("norm", "x"), rows=((SPECIAL, "1"), ("two\nlines", "2"))))
    header, rule, first, second, *_ = text.splitlines()
    assert (header, rule) == ("| norm | x |", "| --- | ---: |")
    assert len(re.findall(r"(?<!\\)\|", first)) == 3
    assert r"a\_b & 5 % of #1" in first
    assert r"\[d\] \*e\* \`f\`" in first
    assert second == "| two lines | 2 |"


def test_a_folder_that_cannot_be_written_is_named_in_words(tmp_path):
    with pytest.raises(RunFailedError, match=r"cannot write .*missing"):
        write_comparison(tmp_path / "missing", Comparison.of(RUNS))


def test_what_was_there_stays_whole_when_writing_fails(tmp_path, monkeypatch):
    write_comparison(tmp_path, Comparison.of(RUNS))
    before = (tmp_path / "results.csv").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("normbench.files.os.fsync", full)
    with pytest.raises(RunFailedError, match="No space left"):
        write_comparison(tmp_path, Comparison.of(RUNS[:1]))
    assert (tmp_path / "results.csv").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3
