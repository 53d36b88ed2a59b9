"""The report of many runs reads each of them once or twice, computes nothing anew, and takes seconds."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import normbench, without_settings
from helpers.synthetic import IMAGES, make_experiment, make_run

from normbench.report.select import Finished

NORMS = ("bn", "gn", "ln", "in", "rms")


def test_a_report_reads_no_images_and_no_weights_and_compares_no_run_with_every_other(tmp_path, monkeypatch) -> None:
    def never(*_arguments: object, **_keywords: object) -> None:
        raise AssertionError("a report of runs that kept their confusions has no use for it")

    monkeypatch.setattr("normbench.report.evaluator.datasets.load", never)
    monkeypatch.setattr("normbench.report.evaluator.score_again", never)
    monkeypatch.setattr(Finished, "__eq__", never)
    folder = make_experiment(tmp_path, NORMS, 3)
    answer = normbench("report", folder, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.document["left_out"] == []


def test_every_file_of_a_run_is_read_a_fixed_number_of_times(tmp_path, monkeypatch) -> None:
    reads: list[Path] = []
    read_bytes, read_text = Path.read_bytes, Path.read_text
    monkeypatch.setattr(Path, "read_bytes", lambda path: reads.append(path) or read_bytes(path))
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: reads.append(path) or read_text(path, *a, **k))
    counts = []
    for seeds in (2, 4):
        folder = make_experiment(tmp_path, NORMS, seeds, f"of-{seeds}")
        reads.clear()
        assert normbench("report", folder, "-q").code == 0
        counts.append(sum(path.parent.parent == folder for path in reads))
    assert counts[1] == 2 * counts[0] > 0


def test_a_run_that_diverged_stands_in_every_table_and_in_no_mean(tmp_path) -> None:
    for seed in range(3):
        right = 252 + seed
        counts = [[right if row == column == 0 else 0 for column in range(10)] for row in range(10)]
        counts[1][2] = IMAGES - right
        make_run(tmp_path, "bn", seed, right / IMAGES, counts=counts)
        make_run(tmp_path, "gn", seed, 0.60 + 0.02 * seed)
        most = [[IMAGES if row == column == 0 else 0 for column in range(10)] for row in range(10)]
        make_run(tmp_path, "ln", seed, 1.0 if seed == 0 else None, counts=most if seed == 0 else None)
    answer = normbench("report", tmp_path / "many", "--json").document["answer"]
    assert answer[0].startswith("bn leads with 70.28 % test accuracy (mean over seeds 0-2).")
    assert "Diverged: 2 of 3 runs of ln." in answer[1]
    page = (tmp_path / "many" / "report.html").read_text(encoding="utf-8")
    assert page.count("<td>2 of 3 diverged</td>") == 3  # train and test accuracy, and the difference
    assert "ln: 2 of 3 diverged, so it has no accuracy by class and no confusions." in page
    assert "Runs that diverged have no curve, which favours ln." in page
    assert "100.00 %" in page.split('id="per-class-table-caption"')[1].split("</table>")[0]  # class 0 of bn alone
    assert page.split('id="per-class-table-caption"')[1].split("</thead>")[0].count("<th ") == 2
    assert "<td>-</td>" in page.split('id="per-class-table-caption"')[1].split("</table>")[0], "a class without images"


def test_runs_of_two_rates_in_one_folder_are_not_ranked(tmp_path) -> None:
    for seed in range(3):
        for lr in (0.04, 0.08):
            make_run(tmp_path, "bn", seed, 0.7 + lr, lr=lr)
            make_run(tmp_path, "gn", seed, 0.6 + lr, lr=lr)
    answer = normbench("report", tmp_path / "many", "--json").document["answer"]
    assert answer[0] == "No norm is ranked here."
    assert answer[1].startswith(
        "bn ran with several settings (lr 0.04; lr 0.08) and gn ran with several settings (lr 0.04; lr 0.08): such "
        "runs are not ranked by the test images"
    )


def test_a_constant_difference_is_told_to_have_no_spread(tmp_path) -> None:
    for seed in range(5):
        make_run(tmp_path, "bn", seed, 0.5)
        make_run(tmp_path, "gn", seed, 0.75)
    answer = normbench("report", tmp_path / "many", "--json").document["answer"]
    assert "so there is no spread to test it by: bn at -25.00 pp." in answer[0]
    assert "two seeds" not in answer[0]


@pytest.mark.slow
def test_a_report_of_2000_runs_takes_under_10_seconds_and_grows_in_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("normbench.files.os.fsync", lambda _descriptor: None)
    seconds = []
    for seeds in (200, 400):
        folder = make_experiment(tmp_path, NORMS, seeds, f"of-{seeds}")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "normbench", "report", str(folder), "-q"]
        subprocess.run(command, check=True, capture_output=True, env=without_settings())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert seconds[1] < 10
    assert seconds[1] < 2.5 * seconds[0]


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_norm_leads_another_with_the_same_accuracy(seeds: int, tmp_path: Path) -> None:
    for seed in range(seeds):
        for norm, accuracy in (("bn", 0.5), ("gn", 0.5), ("ln", 0.4)):
            make_run(tmp_path, norm, seed, accuracy + 0.1 * seed)
    answer = normbench("report", tmp_path / "many", "--json").document["answer"]
    assert answer[0].startswith("bn and gn " + ("share the highest" if seeds == 1 else "lead together with 55.00 %"))
    assert "-0.00" not in answer[0]
