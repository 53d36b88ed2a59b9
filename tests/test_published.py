"""Documented measurements are package data: those of the tables, quoted where nothing was measured."""

from pathlib import Path

import pytest
from helpers.cli import normbench

from docs.published import TARGET, text
from normbench.advice.published import of_norm, published
from normbench.studies import STUDIES


def test_the_package_data_are_the_tables_of_the_documentation() -> None:
    assert TARGET.read_text(encoding="utf-8") == text(), "run: python docs/published.py"


def test_every_measurement_has_its_conditions_and_a_page_that_exists() -> None:
    root = Path(__file__).parent.parent
    for entry in published():
        assert (root / entry.page).is_file()
        assert "seed" in entry.caption or entry.study == "cost"
        assert "torch 2." in entry.caption
        assert entry.study in STUDIES or entry.study == "compare"
        assert entry.values


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_the_page_of_a_norm_quotes_what_was_documented(norm: str, tmp_path: Path) -> None:
    asked = ("norms", norm, "--out", tmp_path)
    documented = normbench(*asked, "--json").document["documented"]
    assert len(documented) == len(list(of_norm(norm))) > 0
    said = normbench(*asked, COLUMNS="80").words
    for entry in documented:
        assert f"{100 * entry['value']['mean']:.2f}" in said
        assert entry["page"] in said
    assert documented[0]["caption"] in said


def test_a_norm_without_a_measurement_quotes_nothing(tmp_path: Path) -> None:
    answer = normbench("norms", "gn(groups=2)", "--out", tmp_path, "--json")
    assert answer.document["documented"] == []


def test_advice_quotes_what_was_documented_where_nothing_was_measured(tmp_path: Path) -> None:
    asked = ("advise", "--task", "vision", "--batch-size", 4, "--needs", "fast,agree", "--out", tmp_path)
    rules = normbench(*asked, "--json").document["rules"]
    evidence = [item for rule in rules for item in rule["evidence"] if "study" in item]
    assert {item["study"] for item in evidence} == {"mistakes", "batch-size", "cost", "depth"}
    assert [item["measured"] for item in evidence] == [None] * len(evidence)
    said = normbench(*asked).words
    for item in evidence:
        assert item["documented"]["statement"] in said
        assert item["documented"]["caption"] in said
    (sizes,) = [item["documented"] for item in evidence if item["study"] == "batch-size"]
    assert sizes["batch_size"] == 4
    bn, gn = (
        next(entry.values[norm].mean for entry, _, _ in of_norm(norm) if (entry.batch_size, entry.seeds) == (4, 3))
        for norm in ("bn", "gn")
    )
    assert sizes["contradiction"] == f"bn is {100 * (bn - gn):.1f} points above gn (mean of 3 seeds)"
