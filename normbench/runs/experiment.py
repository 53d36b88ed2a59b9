"""Experiment: the runs that answer one question. Its folder says which, so that no other one lands there.

More seeds, more norms, and in a search more points are the same question.
"""

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normbench.config import Recipe
from normbench.errors import NormbenchError, UsageError
from normbench.files import check_regular, in_words, replace_text
from normbench.runs.archive import ARCHIVE, CONFIG, RESULT
from normbench.runs.catalog import FINDING, Entry, flat, list_experiment
from normbench.runs.lock import holder_of
from normbench.runs.schema import read_document, versioned

EXPERIMENT = "experiment.json"
RESULTS = "results.csv"
"""The runs of a comparison, a line each (`normbench.report.write_comparison`)."""
STUDY = "study"
"""Section of the settings of a study that keeps no runs."""
TRIES = 3
"""Attempts to claim an experiment: another process may take its name between the look at it and the claim."""
SHOWN = 3
"""Differences between two questions that are told."""


@dataclass(frozen=True)
class Question:
    """Question of an experiment: the command and the settings that its runs share."""

    command: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, recipe: Recipe, command: str, searching: bool = False) -> "Question":
        """The question of a recipe whose data set is settled; a search asks it at any rate and decay."""
        settings = recipe.model_dump(mode="json", exclude={"norms", "seeds", "seed", "sweep", "search", "fallback"})
        settings |= {"search": searching, "lr_scaling": recipe.sweep.lr_scaling}
        if command == "tune":
            settings["space"] = recipe.search.model_dump_json(exclude_none=True)
        if searching:
            del settings["norm"]
            for name in ("lr", "weight_decay"):
                del settings["training"][name]
        return cls(command, settings)

    @classmethod
    def of_study(cls, command: str, settings: dict[str, Any]) -> "Question":
        """The question of a study that keeps no runs: all that was set, as its result is replaced as a whole."""
        return cls(command, {STUDY: json.loads(json.dumps(settings, default=str))})

    @property
    def digest(self) -> str:
        """SHA-256 (hex), which tells it from other questions."""
        return hashlib.sha256(json.dumps([self.command, self.settings], sort_keys=True).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """As it is written down."""
        return versioned({"command": self.command, "settings": self.settings})

    def differences(self, document: dict[str, Any]) -> list[str]:
        """List the differences to another question as it was written down, a sentence each.

        A setting that did not exist when it was written had its default.
        """
        if document.get("command") != self.command:
            return [f"it is one of `normbench {document.get('command')}`"]
        settings = document.get("settings")
        if not isinstance(settings, dict):
            return [f"its {EXPERIMENT} is damaged"]
        searching = bool(settings.get("search"))
        defaults = {} if STUDY in self.settings else flat(Question.of(Recipe(), self.command, searching).settings)
        there, here = defaults | flat(settings), flat(self.settings)
        keys = dict.fromkeys([*there, *here])
        return [
            f"{key} is {_value(there.get(key))} there and {_value(here.get(key))} here"
            for key in keys
            if there.get(key) != here.get(key)
        ]


@dataclass(frozen=True)
class Experiment:
    """An experiment as it lies on disk."""

    path: Path
    command: str | None
    """Command that its question is of; None where that is not written down."""
    entries: tuple[Entry, ...]
    """Its runs, by name; a study that trains nothing has none."""

    @property
    def name(self) -> str:
        """Name under its --out."""
        return self.path.name


def list_experiments(out: Path) -> list[Experiment]:
    """List the experiments under a folder, by name: those with a run or with the result of a study."""
    folders = {path.parent.parent for path in out.glob(f"*/*/{CONFIG}")}
    folders |= {path.parent for name in (FINDING, ARCHIVE) for path in out.glob(f"*/{name}")}
    return [read_experiment(folder) for folder in sorted(folders)]


def read_experiment(folder: Path) -> Experiment:
    """Read an experiment with its runs; damage is part of the answer."""
    return Experiment(folder, _command(folder), tuple(list_experiment(folder)))


def _command(folder: Path) -> str | None:
    for path, key in ((folder / EXPERIMENT, "command"), (folder / FINDING, "study")):
        with contextlib.suppress(OSError, NormbenchError):
            if isinstance(command := read_document(path).get(key), str):
                return command
    return None


def place(out: Path, name: str, question: Question, chosen: bool, fingerprints: Collection[str]) -> tuple[str, str]:
    """The name that an experiment has, and a warning (or nothing) if it is not the one that was asked for.

    Args:
        out: The folder of experiments.
        name: The name asked for.
        question: What it answers.
        chosen: Whether the user gave the name; else another one is derived where an experiment of another question
            has it.
        fingerprints: Of its runs; they tell an earlier try of the same from before questions were written down.

    Raises:
        UsageError: The user gave the name of an experiment of another question.
    """
    differences = _differences(out / name, question, fingerprints)
    if not differences:
        return name, ""
    more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    difference = f"the experiment {name} in {out} answers another question: {'; '.join(differences[:SHOWN])}{more}"
    derived = f"{name}-{question.digest[:8]}"
    if chosen or _differences(out / derived, question, fingerprints):
        raise UsageError(difference, f"Give this one another name (--name NAME), or the settings of {name}.")
    return derived, f"{difference}. This one is kept as {derived}; --name NAME gives it a name of yours"


def claim(folder: Path, question: Question) -> bool:
    """Write down which question a folder answers; False if another process was quicker with another one.

    Raises:
        UsageError: The folder cannot be written.
    """
    path, text = folder / EXPERIMENT, json.dumps(question.document(), indent=2) + "\n"
    if path.exists() and not _differs(path, question):
        return True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _is_abandoned(folder):
            return False
        _create(path, text)
    except OSError as error:
        raise UsageError(
            f"cannot write to the output folder {folder}: {error.strerror or error}",
            "Give a folder that can be written: --out FOLDER",
        ) from error
    return not _differs(path, question)


def claim_name(
    out: Path, name: str, question: Question, chosen: bool, fingerprints: Collection[str] = ()
) -> tuple[str, str]:
    """Claim an experiment for a question; returns its name and a warning, as `place` does.

    Raises:
        UsageError: The user gave the name of an experiment of another question, or the folder cannot be written.
    """
    for _ in range(TRIES):
        settled, warning = place(out, name, question, chosen, fingerprints)
        if claim(out / settled, question):
            return settled, warning
    raise UsageError(f"other processes take every name for {name} in {out}", "Give one with --name NAME.")


def answers(folder: Path, question: Question) -> bool:
    """Test whether a folder still belongs to a question."""
    return not _differs(folder / EXPERIMENT, question)


def _differences(folder: Path, question: Question, fingerprints: Collection[str]) -> list[str]:
    if (folder / EXPERIMENT).exists():
        return [] if _is_abandoned(folder) else _differs(folder / EXPERIMENT, question)
    if (folder / RESULTS).exists() and not _lists_one_of(folder / RESULTS, fingerprints):
        return [f"its {RESULTS} lists none of these runs"]
    if (folder / FINDING).exists() and question.command == "compare":
        return [f"it is that of a study, whose {FINDING} is there"]
    return []


def _differs(path: Path, question: Question) -> list[str]:
    try:
        return question.differences(read_document(path))
    except NormbenchError as error:
        return [error.message]


def _is_abandoned(folder: Path) -> bool:
    """Test whether nothing of an experiment is there but its question, and tries that no process goes on with."""
    if any((folder / name).exists() for name in (RESULTS, FINDING, ARCHIVE)) or any(folder.glob(f"*/{RESULT}")):
        return False
    return all(holder_of(path.parent) is None for path in folder.glob(f"*/{CONFIG}"))


def _lists_one_of(path: Path, fingerprints: Collection[str]) -> bool:
    try:
        check_regular(path)  # a pipe would be waited for
        with path.open(encoding="utf-8", newline="") as file:
            return any(row.get("fingerprint") in fingerprints for row in csv.DictReader(file))
    except (OSError, ValueError, csv.Error, NormbenchError):
        return False


def _create(path: Path, text: str) -> None:
    """Write a file that no other process has written in the meantime, whole from the first moment on."""
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    abandoned = path.exists()
    with in_words(path):
        temporary.write_text(text, encoding="utf-8", newline="")
        try:
            if abandoned:
                temporary.replace(path)
            else:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, path)
        except OSError:  # a file system without hard links
            replace_text(path, text)
        finally:
            temporary.unlink(missing_ok=True)


def _value(value: Any) -> str:
    return "not set" if value is None else json.dumps(value)
