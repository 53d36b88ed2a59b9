"""Statistics of a comparison and its output, on results made up by hand."""

import io
import json

import pytest
from helpers.results import make_result
from rich.console import Console

from normbench.analysis import Comparison
from normbench.cli.main import app
from normbench.console.comparison import comparison_document, comparison_text
from normbench.errors import UsageError


def runs(seeds):
    bn = [0.700, 0.710, 0.690][:seeds]
    return [make_result("bn", i, x) for i, x in enumerate(bn)] + [
        make_result("gn", i, x + 0.01 + 0.001 * i) for i, x in enumerate(bn)
    ]


def printed(comparison):
    console = Console(file=io.StringIO(), width=200)
    console.print(comparison_text(comparison))
    return console.file.getvalue()


def test_two_seeds_or_more_show_paired_differences():
    text = printed(Comparison.of(runs(3)))
    assert "Paired differences to bn (3 seeds)" in text
    # Differences of 1.0, 1.1 and 1.2 points: mean 1.1, sd 0.1, half width 4.303 * 0.1 / sqrt(3).
    assert "+1.10 [+0.85, +1.35] pp" in text
    assert "Paired differences to gn" in printed(Comparison.of(runs(3), "gn"))


def test_one_seed_shows_none_but_the_document_has_the_difference():
    comparison = Comparison.of(runs(1))
    assert "Paired differences" not in printed(comparison)
    [difference] = comparison_document(comparison, [], [])["differences"]
    assert difference["test_accuracy"]["mean"] == pytest.approx(0.01)
    assert difference["test_accuracy"]["low95"] is None


def test_the_document_is_json_in_fractions():
    document = json.loads(json.dumps(comparison_document(Comparison.of(runs(3)), ["table.md"], ["a warning"])))
    [difference] = document["differences"]
    assert (difference["norm"], difference["control"], difference["seeds"]) == ("gn", "bn", [0, 1, 2])
    assert difference["test_accuracy"]["mean"] == pytest.approx(0.011)
    assert difference["p_better"] == {
        "probability": 1.0, "low95": pytest.approx(0.025 ** (1 / 3)), "high95": 1.0,
    }  # fmt: skip
    assert [time["measured"] for time in document["time_to_accuracy"]] == [False] * 6
    assert "not measured" in document["time_to_accuracy"][0]["why_not"]
    assert document["files"] == ["table.md"]
    assert document["warnings"] == ["a warning"]


def test_a_search_sets_no_norm_against_another():
    results = [
        make_result("bn", 0, None, lr=0.1),
        make_result("bn", 0, None, lr=0.2),
        make_result("gn", 0, None, lr=0.1),
    ]
    comparison = Comparison.of(results)
    assert comparison.differences == ()
    assert "The test images were not read." in printed(comparison)


def test_unequal_terms_are_warned_of():
    assert Comparison.of(runs(2)).warnings == ()
    [warning] = Comparison.of([make_result("bn", 0, 0.7), make_result("gn", 0, 0.7, torch="3")]).warnings
    assert "torch: 2 (bn); 3 (gn)" in warning


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--control", "bnn"], "unknown control norm 'bnn'"),
        (["--control", "ln"], "unknown control norm 'ln'"),
        (["--control", "bn", "--lr", "0.1,0.2", "--val-split", "0.1"], "no use in a search"),
    ],
)
def test_a_control_that_cannot_be_is_refused_before_training(tmp_path, flags, message):
    with pytest.raises(UsageError, match=message):
        app(
            ["compare", "--norms", "bn,gn", "--dataset", "digits", "--dry-run", "--out", str(tmp_path), *flags],
            standalone_mode=False,
        )


def test_a_comparison_needs_results_alone_and_gives_its_rows_as_plain_data():
    rows = Comparison.of(runs(3)).to_dicts()
    assert [(row["norm"], row["runs"], row["test_accuracy"]["n"]) for row in rows] == [("bn", 3, 3), ("gn", 3, 3)]
    assert json.loads(json.dumps(rows)) == rows
    with pytest.raises(UsageError, match="no runs to compare"):
        Comparison.of([])


def test_norms_with_several_settings_are_not_ranked_by_the_test_images():
    results = [*runs(2), make_result("ln", 0, 0.9, lr=0.1), make_result("ln", 0, 0.95, lr=0.2)]
    comparison = Comparison.of(results)
    assert (comparison.ranking.norm, [pair.norm for pair in comparison.differences]) == ("gn", ["gn"])
    assert [series.label for series in comparison.series] == ["bn", "gn", "ln, lr 0.1", "ln, lr 0.2"]
    with pytest.raises(UsageError, match="cannot be the control"):
        Comparison.of(results, "ln")
