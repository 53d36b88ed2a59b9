"""Equal terms of a comparison, and the caption with the conditions of its runs."""

import pytest
from helpers.results import make_result

from normbench.analysis import Comparison, caption, mismatches, seed_mismatches

EQUAL = {
    "dataset": "cifar10", "network": "c10", "epochs": 20, "batch_size": 64, "train_images": 50_000,
    "test_images": 10_000, "device": "a CPU, 2 threads", "torch": "2.15.0",
}  # fmt: skip


def run(norm, seed=0, status="done", **fields):
    return make_result(norm, seed, status=status, **EQUAL | fields)


def test_runs_on_equal_terms_are_not_mismatches():
    assert mismatches([run("bn"), run("bn", 1), run("gn")]) == []
    assert mismatches([]) == []


@pytest.mark.parametrize(
    ("name", "other", "description"),
    [
        ("torch", "2.14.0", "torch: 2.15.0 (bn); 2.14.0 (gn)"),
        ("device", "another CPU, 2 threads", "device: a CPU (bn); another CPU (gn)"),
        ("batch_size", 128, "batch size: 64 (bn); 128 (gn)"),
        ("epochs", 5, "epochs: 20 (bn); 5 (gn)"),
        ("dataset", "digits", "dataset: cifar10 (bn); digits (gn)"),
        ("train_images", 45_000, "train images: 50000 (bn); 45000 (gn)"),
        ("network", "dwnet", "network: c10 (bn); dwnet (gn)"),
    ],
)
def test_what_differs_is_named(name, other, description):
    assert mismatches([run("bn"), run("gn", **{name: other})]) == [f"not on equal terms: runs differ in {description}"]


def test_another_number_of_threads_makes_only_the_seconds_unequal():
    results = [run("bn"), run("gn", device="a CPU, 1 thread"), run("ln", device="a CPU, 1 thread")]
    assert mismatches(results) == []
    (sentence,) = Comparison.of(results).warnings
    assert sentence == "seconds are not on equal terms: 2 threads (bn); 1 thread (gn, ln)"
    assert Comparison.of([run("bn"), run("gn")]).warnings == ()


def test_unfinished_runs_do_not_count():
    assert mismatches([run("bn"), run("gn", status="diverged", epochs=3), run("ln", status="failed", epochs=0)]) == []


def test_the_sentence_names_data_length_seeds_and_machine():
    text = caption([run("bn"), run("bn", 1)], 20)
    assert text.startswith("CIFAR-10 (50,000 train and 10,000 test images); network c10; 20 epochs; batch 64; 2 seeds")
    assert "a CPU, 2 threads; torch 2.15.0." in text
    assert "torch 2.15.0 or 2.14.0" in caption([run("bn"), run("gn", torch="2.14.0")], 20)


def test_seeds_that_do_not_follow_each_other_are_all_named():
    assert "; 4 seeds (0-1, 5, 9); " in caption([run("bn", seed) for seed in (9, 0, 5, 1)], 20)


def test_the_sentence_says_how_far_other_test_images_would_move_an_accuracy():
    text = caption([run("bn", test_accuracy=0.84)], 20)
    # 1.96 * sqrt(0.84 * 0.16 / 10000) = 0.72 points.
    assert "by ± 0.7 pp at 84 % of 10,000 (95 %, binomial)" in text
    digits = caption([run("bn", dataset="digits", test_accuracy=0.96, test_images=360)], 20)
    assert "by ± 2.0 pp at 96 % of 360" in digits
    assert "Other test images" not in caption([run("bn", validation_accuracy=0.84)], 20, searching=True)


def test_intervals_are_said_to_be_over_initialisation_and_order():
    three = [run("bn", seed, test_accuracy=0.8) for seed in range(3)]
    assert "over initialisation and order alone" in caption(three, 20)
    assert "Two seeds are shown as their two values" in caption(three[:2], 20)
    assert "±" not in caption(three[:1], 20).split("Other test images")[0]


def test_unequal_seeds_are_said_and_runs_that_failed_have_none():
    equal = [run("bn"), run("bn", 1), run("gn"), run("gn", 1, status="diverged")]
    assert seed_mismatches(equal) == []
    (sentence,) = seed_mismatches([*equal, run("gn", 2), run("gn", 5), run("bn", 2, status="failed")])
    assert sentence.startswith("unequal seeds: bn 0-1; gn 0-2, 5.")


def test_another_split_is_said_and_no_equal_term():
    assert mismatches([run("bn"), run("gn", split_seed=1)]) == [
        "not on equal terms: runs differ in split seed: 0 (bn); 1 (gn)"
    ]
    assert "10,000 test images, re-split with seed 1)" in caption([run("bn", split_seed=1)], 20)
