"""Errors a user can act on: one line of what and where, a hint with a way out, an exit code."""

import difflib
from collections.abc import Iterable

RUN_FAILED = 1
USAGE = 2
DATA_UNAVAILABLE = 3
SOME_RUNS_FAILED = 4
INTERRUPTED = 130


class NormbenchError(Exception):
    """A failure with words for the user.

    Args:
        message: One line: what is wrong, and where.
        hint: What to try, best as a command; may be empty.
        exit_code: What the process exits with (see the constants of this module).
    """

    exit_code = RUN_FAILED

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(NormbenchError):
    """A flag, recipe or setting that cannot be meant as it stands (exit code 2)."""

    exit_code = USAGE


class OverBudgetError(UsageError):
    """A network with as many parameters as the budget, or more."""


class DataError(NormbenchError):
    """A data set that is missing, damaged or cannot be fetched (exit code 3)."""

    exit_code = DATA_UNAVAILABLE


class RunFailedError(NormbenchError):
    """A training that could not be finished (exit code 1)."""

    exit_code = RUN_FAILED


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence that helps with a misspelt name: the nearest known one, and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    return f"{guess}Known: {', '.join(names)}."


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in a registry, such as `unknown("norm", "bnn", ["bn", "gn"])`."""
    return UsageError(f"unknown {kind} '{name}'", nearest(name, known))
