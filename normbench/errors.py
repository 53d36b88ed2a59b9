"""Errors a user can act on: one line of what and where, a hint with a way out, an exit code."""

import difflib
from collections.abc import Iterable, Mapping

RUN_FAILED = 1
USAGE = 2
DATA_UNAVAILABLE = 3
SOME_RUNS_FAILED = 4
INTERRUPTED = 130

LONGEST = 100
"""Characters of a name that are compared with known ones."""


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


class UnfitNormError(UsageError):
    """A norm that has no meaning in a network, such as one that averages over the pixels of a vector."""


class DataError(NormbenchError):
    """A data set that is missing, damaged or cannot be fetched (exit code 3)."""

    exit_code = DATA_UNAVAILABLE


class RunFailedError(NormbenchError):
    """A training that could not be finished (exit code 1)."""

    exit_code = RUN_FAILED


def nearest(name: str, known: Iterable[str], others: Mapping[str, str] | None = None) -> str:
    """The sentence that helps with a misspelt name: the nearest known one, and all of them.

    Args:
        name: As it was given.
        known: The names that there are.
        others: Further names that people use, small letters and digits alone, with the known ones that they mean.
    """
    names = sorted(known)
    return suggestion(guess(name, names, others), names)


def suggestion(meant: str | None, known: Iterable[str]) -> str:
    """The sentences that ask for the name that was probably meant, and list the known ones."""
    question = f"Did you mean '{meant}'? " if meant else ""
    return f"{question}Known: {', '.join(sorted(known))}."


def guess(name: str, names: list[str], others: Mapping[str, str] | None = None) -> str | None:
    """Find the known name that differs in case, is called so by others, or is spelt alike."""
    bare = _bare(name)
    spelt = {_bare(known): known for known in names} | dict(others or {})
    if match := spelt.get(bare):
        return match
    close = difflib.get_close_matches(name[:LONGEST].lower(), names, n=1, cutoff=0.5)
    if close:
        return close[0]
    alike = difflib.get_close_matches(bare[:LONGEST], spelt, n=1, cutoff=0.75)
    return spelt[alike[0]] if alike else None


def _bare(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def unknown(kind: str, name: str, known: Iterable[str], others: Mapping[str, str] | None = None) -> UsageError:
    """The error for a name that is not in a registry, such as `unknown("norm", "bnn", ["bn", "gn"])`."""
    return UsageError(f"unknown {kind} '{shortened(name)}'", nearest(name, known, others))


def shortened(text: str, most: int = 200) -> str:
    """A text that somebody typed or wrote, for a message of one line."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def in_one_line(error: BaseException) -> str:
    """An exception that is not in words of normbench, with its type, whatever its length."""
    return f"{type(error).__name__}: {shortened(' '.join(str(error).split()), 500)}"
