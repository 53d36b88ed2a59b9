"""Measurements among the experiments on disk."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

from normbench.advice.rules import Evidence, Rule
from normbench.advice.situation import Situation
from normbench.analysis import StudyResult, aggregate_runs, caption, mismatches, read_study_result
from normbench.analysis.format import percent
from normbench.errors import NormbenchError
from normbench.runs import Entry, RunResult, list_experiment

COMPARED = ("bn", "gn")
HIGHER = "scores higher"
"""The verdict of `mistakes` on a mistake that is separated from the right way, and above it."""


@dataclass(frozen=True)
class Measured:
    """What a study found here."""

    where: Path
    says: str
    conditions: str
    batch_size: int | None = None
    """Where the figures depend on it: the measured one that is nearest to the situation's."""
    disagrees: str = ""
    """How they contradict the rule that they are quoted for; empty where they do not."""


@dataclass(frozen=True)
class Unreadable:
    """A study's result that is there and cannot be read."""

    problem: str


def look_up(evidence: Evidence, rule: Rule, situation: Situation, out: Path) -> Measured | Unreadable | None:
    """The result of the study that a rule rests on, under an output folder; None if there is none."""
    try:
        match evidence.study:
            case "compare":
                return _compared(rule, situation, out)
            case "batch-size":
                return next(_batch_sizes(rule, situation, out), None)
            case study:
                return next(_found(study, evidence.part, out), None)
    except NormbenchError as error:
        return Unreadable(error.message)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return Unreadable(f"what `{evidence.study}` found under {out} is damaged: {type(error).__name__}: {error}")


def _findings(study: str, out: Path) -> Iterator[tuple[Path, StudyResult]]:
    """Those of a study: in its own folder first, then in those of other recipes."""
    for folder in (out / study, *sorted(out.glob(f"{study}-*"))):
        finding = read_study_result(folder)
        if finding is not None and finding.study == study:
            yield folder, finding


def _found(study: str, part: str, out: Path) -> Iterator[Measured]:
    for folder, finding in _findings(study, out):
        if not part and finding.conclusions:
            yield Measured(folder, finding.conclusions[0], finding.caption)
        parts: list[dict[str, Any]] = finding.values.get(study, []) if part else []
        for one in parts:
            if one.get("name") == part:
                yield _mistake(one, folder, finding)


def _mistake(one: dict[str, Any], folder: Path, finding: StudyResult) -> Measured:
    right, wrong = (sum(one[key]) / len(one[key]) for key in ("right_accuracy", "wrong_accuracy"))
    seeds = len(one["right_accuracy"])
    says = (
        f"{one['wrong']}: {percent(wrong)} instead of {percent(right)} test accuracy "
        f"({seeds} seed{'s' if seeds > 1 else ''}; {one['verdict']})"
    )
    disagrees = "the wrong way scores higher than the right one" if one["verdict"] == HIGHER else ""
    return Measured(folder, says, finding.caption, disagrees=disagrees)


def _batch_sizes(rule: Rule, situation: Situation, out: Path) -> Iterator[Measured]:
    for folder, finding in _findings("batch-size", out):
        points = finding.values.get("points", [])
        measured = {point["batch_size"] for point in points if _mean(point) is not None}
        if not measured:
            continue
        size = _nearest(measured, situation.batch_size)
        at_size = [point for point in points if point["batch_size"] == size]
        means = {point["norm"]: _mean(point) for point in at_size}
        seeds = max(point["accuracy"]["n"] for point in at_size if point["accuracy"])
        scored = finding.values.get("scored", "test accuracy")
        yield Measured(
            folder,
            f"{_at(size, situation)}: {_listed(means)} {scored}",
            finding.caption,
            size,
            _contradiction(rule, means, seeds),
        )


def _mean(point: Mapping[str, Any]) -> float | None:
    """The accuracy of a norm at a batch size; None where one of its runs did not finish."""
    return None if point.get("problems") or not point["accuracy"] else point["accuracy"]["mean"]


def _compared(rule: Rule, situation: Situation, out: Path) -> Measured | None:
    """From the experiment at the nearest batch size in which both norms have finished runs on equal terms."""
    found: dict[int, Measured] = {}
    for folder in sorted(path for path in out.glob("*") if path.is_dir()):
        done = [one for entry in list_experiment(folder) if (one := _counted(entry)) is not None]
        rows = aggregate_runs(done)
        means = {row.norm: row.test_accuracy.mean for row in rows if row.test_accuracy}
        if set(COMPARED) <= set(means) and len(rows) == len(means) and not mismatches(done):
            size, seeds = done[0].batch_size, len({one.seed for one in done})
            says = f"{_at(size, situation)}: {_listed(means)} test accuracy"
            held_for = caption(done, done[0].epochs)
            found.setdefault(size, Measured(folder, says, held_for, size, _contradiction(rule, means, seeds)))
    return found[_nearest(found, situation.batch_size)] if found else None


def _counted(entry: Entry) -> RunResult | None:
    """The result of a run that reads the test images; one that diverged counts, as its norm has no mean then."""
    if entry.config is None or entry.result is None or not entry.config.read_test:
        return None
    return None if entry.result.status == "failed" else entry.result


def _nearest(sizes: Iterable[int], wanted: int) -> int:
    """By ratio, not by difference; of two that are equally near the smaller."""
    return min(sorted(sizes), key=lambda size: abs(log(size / wanted)))


def _at(size: int, situation: Situation) -> str:
    nearest = "" if size == situation.batch_size else f", the nearest to {situation.batch_size} that was measured"
    return f"at batches of {size}{nearest}"


def _height(mean: float | None) -> float:
    """Where a mean ranks: a norm that did not finish is below every other."""
    return -inf if mean is None else mean


def _listed(means: Mapping[str, float | None]) -> str:
    best_first = sorted(means, key=lambda norm: _height(means[norm]), reverse=True)
    return ", ".join(f"{norm} {'did not finish' if (m := means[norm]) is None else percent(m)}" for norm in best_first)


def _contradiction(rule: Rule, means: Mapping[str, float | None], seeds: int) -> str:
    """Whether a norm that the rule is against, or puts second, came out above the one that it is for."""
    preferred = [norm for norm in rule.prefer if norm in means]
    rivals = [norm for norm in (*rule.avoid, *rule.exclude, *preferred[1:]) if norm in means]
    if not preferred or not rivals:
        return ""
    best = max(rivals, key=lambda norm: _height(means[norm]))
    mean, theirs = means[preferred[0]], means[best]
    if theirs is None or _height(mean) >= theirs:
        return ""
    chance = "one seed, which shows no spread" if seeds == 1 else f"mean of {seeds} seeds"
    if mean is None:
        return f"{preferred[0]} did not finish, {best} did ({chance})"
    return f"{best} is {100 * (theirs - mean):.1f} points above {preferred[0]} ({chance})"
