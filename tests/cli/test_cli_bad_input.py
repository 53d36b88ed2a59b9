"""Whatever setting a user gets wrong is said on stderr in words, with a way out; stdout stays empty."""

from pathlib import Path

import pytest
from helpers.cli import compare, normbench, refused, train

from normbench.errors import USAGE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--norm bnn", ["unknown norm 'bnn'", "Did you mean 'bn'?", "rms"]),
        ("--norm gn --network c11", ["unknown network 'c11'", "Did you mean 'c10'?", "lnet"]),
        ("--norm gn --config basline", ["unknown recipe 'basline'", "Did you mean 'baseline'?"]),
        ("--norm gn --config nowhere/x.toml", ["no recipe file at nowhere/x.toml", "baseline"]),
        ("--norm gn --set training.momentm=0.5", ["command line", "'training.momentm'", "Did you mean 'momentum'?"]),
        ("--norm gn --set norm.gn.epochs=5", ["command line", "'epochs' in [norm.gn]", "weight_decay"]),
        ("--norm gn --set momentum", ["--set momentum", "KEY=VALUE", "--set training.momentum=0.95"]),
        ("--norm gn --set training=3 --lr 0.1", ["--set training=3", "section"]),
        ("--norm gn --epochs 0", ["--epochs 0", "1 to 20"]),
        ("--norm gn --epochs 21", ["--epochs 21", "1 to 20"]),
        ("--norm gn --epochs many", ["--epochs", "integer"]),
        ("--norm gn --lr fast", ["--lr fast", "not a number"]),
        ("--norm gn --lr 0.1,0.2", ["--lr takes one value", "normbench compare"]),
        ("--norm gn --lr -1", ["lr = -1.0", "greater than 0"]),
        ("--norm gn --lr inf", ["lr = inf", "finite"]),
        ("--norm gn --max-params 0", ["--max-params 0", "from 1 to 10,000,000"]),
        ("--norm gn --subset 0", ["--subset 0", "from 1 to 1,000,000"]),
        ("--norm gn --subset 99999", ["subset of 99,999", "1,437", "--subset 1437"]),
        ("--norm gn --val-split 1.5", ["val_split = 1.5", "less than 1"]),
        ("--norm gn --dataset digit", ["'digit'", "'digits'"]),
        ("--norm gn --device gpu", ["'gpu'", "cuda:N"]),
        ("--norm gn --groups 3", ["3 groups do not divide 8 channels", "1, 2, 4, 8"]),
        ("--norm gn --set network.widths=[8,8]", ["c10 takes 10 widths", "2 are given"]),
        ("--norm bn --batch-size 1", ["batch of 1 image", "--batch-size 8", "--norm gn"]),
        ("--norm gn --batch-size 257", ["256 training images", "batch of 257", "--batch-size 256"]),
        ("--norm nosuch.py:make", ["nosuch.py does not exist"]),
        ("--norm no_such_package:make", ["cannot import no_such_package", "installed"]),
        ("", ["which norm?", "--norm", "normbench norms"]),
        ("--norm gn --nom", ["No such option: --nom", "--norm", "--help"]),
    ],
)
def test_a_bad_setting_of_train_is_refused_in_words(arguments: str, words: list[str], tmp_path: Path) -> None:
    refused(train(tmp_path, *arguments.split()), USAGE, *words)
    assert list(tmp_path.rglob("config.json")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--all --norms bn", ["--all and --norms exclude each other"]),
        ("--all --every", ["--all and --every exclude each other"]),
        ("--norms bn,gnn", ["unknown norm 'gnn'", "Did you mean 'gn'?"]),
        ("--norms ,", ["--norms", "names nothing", "--norms bn,gn"]),
        ("--all --seeds 0", ["--seeds 0", "from 1 to 1,000"]),
        ("--all --lr 0.1,0.2", ["validation split", "--val-split 0.1"]),
        ("--all --lr 0.1,-1 --val-split 0.1", ["lr = -1.0", "greater than 0"]),
        ("--all --batch-size 257", ["256 training images", "batch of 257"]),
    ],
)
def test_a_bad_setting_of_compare_stops_it_before_any_training(
    arguments: str, words: list[str], tmp_path: Path
) -> None:
    refused(compare(tmp_path, *arguments.split()), USAGE, *words)
    assert list(tmp_path.rglob("config.json")) == []


def test_an_unknown_command_is_refused() -> None:
    refused(normbench("trian"), USAGE, "No such command 'trian'", "normbench --help")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nmomentm = 0.9\n", ["mine.toml", "'training.momentm'", "Did you mean 'momentum'?"]),
        ("[norm.gn]\ngroup = 4\n", ["mine.toml", "'group' in [norm.gn]", "Did you mean 'groups'?"]),
        ("norms = []\n", ["mine.toml", "norms = []"]),
        ("lr = \n", ["mine.toml", "not valid TOML"]),
    ],
)
def test_an_error_in_a_recipe_names_the_file(text: str, words: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    refused(train(tmp_path, "--norm", "gn", "--config", recipe), USAGE, *words)


@pytest.mark.parametrize("batch", [2, 7])
def test_a_small_batch_under_bn_is_a_warning_that_json_passes_on(batch: int, tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "bn", "--batch-size", batch, "--dry-run", "--json")
    assert answer.code == 0
    assert f"warning: bn with batches of {batch} images" in answer.stderr
    assert len(answer.document["warnings"]) == 1


def test_json_reports_an_error_as_one_document_and_in_words(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "bnn", "--json")
    error = answer.document["error"]
    assert (answer.code, error["exit_code"], error["message"]) == (USAGE, USAGE, "unknown norm 'bnn'")
    assert error["hint"] in answer.stderr


def test_a_network_over_the_budget_trains_with_the_number_its_refusal_names(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "ln-chw")
    refused(answer, USAGE, "parameters", "over the budget of fewer than 50,000", "LayerNorm([C, H, W])", "--norm ln")
    named = answer.stderr.split("--max-params ")[1].split(";")[0]
    assert f"{int(named) - 1:,} parameters" in answer.stderr
    assert train(tmp_path, "--norm", "ln-chw", "--max-params", named).code == 0
    assert train(tmp_path, "--norm", "ln-chw", "--max-params", int(named) - 1, "--force").code == USAGE
