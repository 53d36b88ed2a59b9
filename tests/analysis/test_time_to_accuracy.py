"""Time to a target accuracy, on epochs written down by hand, and the errors of damaged ones."""

import json

import pytest

from normbench.analysis import LEVELS, Reached, first_reached, times_to_accuracy
from normbench.errors import RunFailedError
from normbench.runs import RunResult, read_rows
from normbench.training import EpochRow


def rows(*accuracies):
    return [
        EpochRow(
            epoch=epoch,
            lr=0.1,
            train_running_loss=1.0,
            train_running_accuracy=0.5,
            validation_loss=None if accuracy is None else 1.0,
            validation_accuracy=accuracy,
            seconds=2.0,
            images_per_second=100.0,
        )
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


def lines(*accuracies):
    return [json.dumps(row.model_dump()) for row in rows(*accuracies)]


def run(folder, norm, seed, *accuracies, status="done"):
    path = folder / f"{norm}-{seed}"
    path.mkdir()
    (path / "metrics.jsonl").write_text("\n".join(lines(*accuracies)) + "\n")
    validation = accuracies[-1] if accuracies and status == "done" else None
    return RunResult(
        status=status, norm=norm, seed=seed, dataset="digits", network="c10", parameters=1, epochs=len(accuracies),
        batch_size=1, lr=0.1, weight_decay=0.0, validation_accuracy=validation, train_images=1, test_images=1,
        seconds=1.0, device="cpu", torch="2", fingerprint="f", folder=str(path),
    )  # fmt: skip


def test_the_first_epoch_at_the_target_counts_also_if_accuracy_falls_again():
    epochs = rows(0.5, 0.7, 0.69, 0.76)
    assert first_reached(epochs, 0.70) == Reached(2, 4.0)
    assert first_reached(epochs, 0.75) == Reached(4, 8.0)
    assert first_reached(epochs, 0.80) is None


def test_every_norm_with_every_target(tmp_path):
    results = [
        run(tmp_path, "bn", 0, 0.71, 0.76, 0.81),
        run(tmp_path, "bn", 1, 0.60, 0.77, 0.79),
        run(tmp_path, "gn", 0, 0.10, 0.20, 0.30),
    ]
    times = times_to_accuracy(results)
    assert [(time.norm, time.accuracy) for time in times] == [(norm, at) for norm in ("bn", "gn") for at in LEVELS]
    at70, at75, at80 = times[:3]
    assert at70.times == (Reached(1, 2.0), Reached(2, 4.0))
    assert (at70.epochs.mean, at70.seconds.mean) == (1.5, 3.0)
    assert (at75.epochs.mean, at75.epochs.sd) == (2.0, 0.0)
    assert at80.times == (Reached(3, 6.0), None)
    assert (at80.reached, at80.epochs, at80.seconds) == (1, None, None), "no mean of the hits alone"
    assert [(time.measured, time.reached) for time in times[3:]] == [(True, 0)] * 3


def test_without_a_validation_split_nothing_is_measured_and_no_file_is_read(tmp_path):
    result = run(tmp_path, "bn", 0, None, None).model_copy(update={"folder": str(tmp_path / "gone")})
    for time in times_to_accuracy([result]):
        assert (time.measured, time.times, time.epochs, time.seconds) == (False, (), None, None)


def test_a_diverged_run_misses_and_a_failed_one_was_not_measured(tmp_path):
    results = [
        run(tmp_path, "bn", 0, 0.9),
        run(tmp_path, "bn", 1, 0.9, status="diverged"),
        run(tmp_path, "bn", 2, status="failed"),
    ]
    assert times_to_accuracy(results, [0.7])[0].times == (Reached(1, 2.0), None)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"epoch": 2, "lr"', "Invalid JSON"),
        ("", "Invalid JSON"),
        ("[1]", "should be an object"),
        ('{"epoch": 2}', "lr: Field required"),
        (lines(None, None)[1].replace("0.5", '"half"'), "train_running_accuracy: Input should be a valid number"),
        (lines(0.1)[0], "holds epoch 1 instead of epoch 2"),
    ],
)
def test_a_damaged_line_is_an_error_that_names_it(tmp_path, bad, message):
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(0.5)[0] + "\n" + bad + "\n")
    with pytest.raises(RunFailedError, match=r"metrics\.jsonl, line 2: ") as caught:
        read_rows(path)
    assert message in caught.value.message


def test_missing_epochs_are_errors(tmp_path):
    short = run(tmp_path, "bn", 0, 0.5, 0.6).model_copy(update={"epochs": 3})
    with pytest.raises(RunFailedError, match="2 epochs, but the run had 3"):
        times_to_accuracy([short])
    lost = short.model_copy(update={"folder": str(tmp_path / "gone")})
    with pytest.raises(RunFailedError, match="cannot be read"):
        times_to_accuracy([lost])
    with pytest.raises(RunFailedError, match="no run folder"):
        times_to_accuracy([short.model_copy(update={"folder": None})])


def test_rows_are_read_back_as_they_were_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(lines(0.5, None, 0.7)) + "\n")
    assert read_rows(path) == rows(0.5, None, 0.7)
