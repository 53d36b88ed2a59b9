"""`normbench advise`: which norm for a task, and on what evidence."""

import sys
from typing import TYPE_CHECKING

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.cli.streams import is_terminal
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.advice import Situation


@flags("task", "batch_size", "devices", "image", "sequence", "needs", "rules", "out", *OUTPUT)
def command(given: Options) -> None:
    """Recommend a norm: first choice, alternative, what to avoid, by which rules and on which evidence.

    On a terminal it asks; with --task it does not. Evidence is a paper, or what a study has measured here, looked up
    under --out and quoted with its conditions. --rules lists every rule.
    """
    from normbench.advice import advise
    from normbench.console import advice as console

    output = given.output()
    if given["rules"]:
        console.show_rules(output)
        return
    situation = console.ask(output) if _asks(given) else _situation(given)
    console.show_advice(output, advise(situation, given.machine().out))


def _asks(given: Options) -> bool:
    """Only a person at a terminal who has said nothing of the task is asked."""
    about = ("task", "batch_size", "devices", "image", "sequence", "needs", "json", "quiet")
    asked = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    return asked and not any(name in given.values for name in about)


def _situation(given: Options) -> "Situation":
    from normbench.advice import NEEDS, TASKS, Situation

    if given["task"] is None:
        raise UsageError("which task? Give --task NAME", f"Known: {', '.join(TASKS)}; for example --task vision.")
    if given["image"] and given["sequence"]:
        raise UsageError("--image and --sequence exclude each other")
    settings = {name: given[name] for name in ("batch_size", "devices") if name in given.values}
    needs = given.names("needs", "--needs names no need", f"Known: {', '.join(NEEDS)}.")
    data = next((name for name in ("image", "sequence") if given[name]), "")
    return Situation(given["task"], data=data, needs=frozenset(needs), **settings)
