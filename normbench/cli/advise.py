"""`normbench advise`: a norm for a task."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import Options, check_exclusive, is_typed
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.advice import Situation


@dataclass(frozen=True, kw_only=True)
class AdviseOptions(Options):
    """Options of `advise`."""

    task: flags.Task = None
    batch_size: flags.InputsPerStep = None
    devices: flags.Devices = None
    image: flags.OfImages = False
    sequence: flags.OfSequences = False
    needs: flags.Needs = None
    rules: flags.Rules = False
    out: flags.Out = None


@command
def advise(options: AdviseOptions) -> None:
    """Recommend a norm for a task, with evidence.

    First choice, alternative and norms to avoid, each with its rules and their evidence. On a terminal it asks; with
    --task it does not. Evidence is a paper, or the result of a study under --out, quoted with its conditions. --rules
    lists every rule.
    """
    from normbench.advice import advise
    from normbench.console import advice as console

    output = options.output()
    if options.rules:
        console.show_rules(output)
        return
    situation = console.ask(output) if _is_interactive(options) else _situation(options)
    console.show_advice(output, advise(situation, options.machine().out))


def _is_interactive(options: AdviseOptions) -> bool:
    """Test for a person at a terminal who has stated nothing of the task."""
    from normbench.console.output import is_terminal

    situation = (options.task, options.batch_size, options.devices, options.image, options.sequence, options.needs)
    typed = any(map(is_typed, (*situation, options.json, options.quiet)))
    return is_terminal(sys.stdin) and is_terminal(sys.stderr) and not typed


def _situation(options: AdviseOptions) -> "Situation":
    from normbench.advice import TASKS, Situation

    if options.task is None:
        raise UsageError("which task? Give --task NAME", f"Known: {', '.join(TASKS)}; for example --task vision.")
    check_exclusive({"--image": options.image, "--sequence": options.sequence})
    return Situation(
        options.task,
        batch_size=Situation.batch_size if options.batch_size is None else options.batch_size,
        devices=Situation.devices if options.devices is None else options.devices,
        data="image" if options.image else "sequence" if options.sequence else "",
        needs=frozenset(options.needs or ()),
    )
