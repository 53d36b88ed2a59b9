"""`normbench advise`: which norm for a task, and on what evidence."""

import sys
from typing import TYPE_CHECKING

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.advice import Situation


@flags("task", "batch_size", "devices", "image", "sequence", "needs", "rules", "out", *OUTPUT)
def command(options: Options) -> None:
    """Recommend a norm: first choice, alternative, what to avoid, by which rules and on which evidence.

    On a terminal it asks; with --task it does not. Evidence is a paper, or what a study has measured here, looked up
    under --out and quoted with its conditions. --rules lists every rule.
    """
    from normbench.advice import advise
    from normbench.console import advice as console

    output = options.output()
    if options["rules"]:
        console.show_rules(output)
        return
    situation = console.ask(output) if _asks(options) else _situation(options)
    console.show_advice(output, advise(situation, options.machine().out))


def _asks(options: Options) -> bool:
    """Only a person at a terminal who has said nothing of the task is asked."""
    from normbench.console.output import is_terminal

    about = ("task", "batch_size", "devices", "image", "sequence", "needs", "json", "quiet")
    asked = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    return asked and not options.typed(*about)


def _situation(options: Options) -> "Situation":
    from normbench.advice import NEEDS, TASKS, Situation

    if options["task"] is None:
        raise UsageError("which task? Give --task NAME", f"Known: {', '.join(TASKS)}; for example --task vision.")
    if options["image"] and options["sequence"]:
        raise UsageError("--image and --sequence exclude each other")
    settings = options.typed("batch_size", "devices")
    needs = options.names("needs", "--needs names no need", f"Known: {', '.join(NEEDS)}.")
    data = next((name for name in ("image", "sequence") if options[name]), "")
    return Situation(options["task"], data=data, needs=frozenset(needs), **settings)
