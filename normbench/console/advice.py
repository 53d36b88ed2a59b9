"""Questions and output of `advise`."""

from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.prompt import IntPrompt, Prompt

from normbench.advice import NEEDS, RULES, TASKS, Advice, Cited, Evidence, Situation, code
from normbench.advice.evidence import Measured
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.errors import INTERRUPTED, NormbenchError


def ask(output: Output) -> Situation:
    """Ask on stderr for the situation; stdout carries the advice alone.

    Raises:
        NormbenchError: The user interrupted the questions.
        UsageError: An answer is invalid.
    """
    try:
        return _ask(output)
    except (KeyboardInterrupt, EOFError) as error:
        output.stderr.print()
        hint = "Without questions: normbench advise --task vision --batch-size 32"
        raise NormbenchError("no advice: the questions were interrupted", hint, INTERRUPTED) from error


def _ask(output: Output) -> Situation:
    console = output.stderr
    for name, meaning in TASKS.items():
        console.print(Text.assemble("  ", (name, "bold"), f"  {meaning}"))
    task = Prompt.ask("Task", console=console, choices=list(TASKS), default="vision")
    batch_size = IntPrompt.ask("Inputs in a step on one device", console=console, default=Situation.batch_size)
    devices = IntPrompt.ask("Devices", console=console, default=Situation.devices)
    for name, meaning in NEEDS.items():
        console.print(Text.assemble("  ", (name, "bold"), f"  {meaning}"))
    needs = Prompt.ask("Needs, with commas (Enter for none)", console=console, default="", show_default=False)
    return Situation(task, batch_size, devices, needs=names(needs))


def names(text: str | None) -> frozenset[str]:
    """Split comma-separated names."""
    return frozenset(name.strip() for name in (text or "").split(",") if name.strip())


def show_advice(output: Output, advice: Advice) -> None:
    """Print first choice, alternative and norms to avoid, with the rules behind them."""
    for warning in advice.warnings:
        output.warning(warning)
    choices = [("First choice", advice.first), ("Alternative", advice.alternative or "-")]
    parts: list[RenderableType] = [Text(f"For {advice.situation.description}:\n", style="dim")]
    for title, norm in choices:
        spelt = "" if norm == "-" else f"   {code(norm, advice.situation)}"
        parts.append(Text.assemble(f"{title:<14}", (norm, "bold green"), (spelt, "cyan")))
    parts.append(Text.assemble(f"{'Avoid':<14}", (", ".join(advice.avoid) or "-", "bold red")))
    parts += [part for cited in advice.cited for part in _rule(cited)]
    parts += _captions(advice)
    output.result(parts, _document(advice), quiet=advice.first)


def _rule(cited: Cited) -> list[RenderableType]:
    rule = cited.rule
    against = (*rule.exclude, *rule.avoid)
    sides = (f"for {', '.join(rule.prefer)}" if rule.prefer else "", f"against {', '.join(against)}" if against else "")
    effect = "; ".join(side for side in sides if side) or "for your information"
    heading = Text.assemble("\n", (rule.name, "bold cyan"), f"  {rule.condition}: ", (effect, "bold"))
    lines = [_line(evidence, measured) for evidence, measured in cited.evidence]
    return [heading, _indented(rule.reason, ""), *(_indented(line, "dim") for line in lines)]


def _indented(text: str, style: str) -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _captions(advice: Advice) -> list[RenderableType]:
    """Captions of the measurements, one per study: those of this machine, then those of the documentation."""
    every = [measured for cited in advice.cited for _, measured in cited.evidence if measured]
    parts: list[RenderableType] = []
    for title, quoted in (
        ("Measured here on", [measured for measured in every if not measured.page]),
        ("Documented, measured on", [measured for measured in every if measured.page]),
    ):
        captions = dict.fromkeys((measured.page or str(measured.folder), measured.caption) for measured in quoted)
        lines = [_indented(f"{source}: {caption}", "dim") for source, caption in captions]
        parts += [Text(f"\n{title}", style="bold"), *lines] if lines else []
    return parts


def _line(evidence: Evidence, measured: Measured | None) -> str:
    if not evidence.study:
        return f"{evidence.source}: {evidence.statement}"
    if measured is None:
        return f"not measured here: `normbench {evidence.study}` does"
    contradiction = f". This contradicts the rule: {measured.contradiction}" if measured.contradiction else ""
    if measured.page:
        command = f"`normbench {evidence.study}` measures it here"
        return f"documented ({measured.page}; {command}): {measured.statement}{contradiction}"
    return f"measured here ({measured.folder}): {measured.statement}{contradiction}"


def _document(advice: Advice) -> dict[str, Any]:
    situation = advice.situation
    return {
        "command": "advise",
        "situation": {
            "task": situation.task,
            "data": situation.data,
            "batch_size": situation.batch_size,
            "devices": situation.devices,
            "needs": sorted(situation.needs),
        },
        "first": advice.first,
        "alternative": advice.alternative,
        "avoid": list(advice.avoid),
        "code": code(advice.first, situation),
        "rules": [_rule_document(cited) for cited in advice.cited],
        "warnings": list(advice.warnings),
    }


def _rule_document(cited: Cited) -> dict[str, Any]:
    rule = cited.rule
    sides = {side: list(getattr(rule, side)) for side in ("prefer", "avoid", "exclude")}
    evidence = [_evidence_document(evidence, measured) for evidence, measured in cited.evidence]
    return {"name": rule.name, "condition": rule.condition, "reason": rule.reason, **sides, "evidence": evidence}


def _evidence_document(evidence: Evidence, measured: Measured | None) -> dict[str, Any]:
    if not evidence.study:
        return {"source": evidence.source, "statement": evidence.statement}
    document: dict[str, Any] = {"study": evidence.study, "part": evidence.part or None}
    here = page = None
    if measured is not None:
        quoted = {
            "statement": measured.statement,
            "caption": measured.caption,
            "batch_size": measured.batch_size,
            "contradiction": measured.contradiction or None,
        }
        if measured.page:
            page = {"page": measured.page, **quoted}
        else:
            here = {"folder": str(measured.folder), **quoted}
    return document | {"measured": here, "documented": page}


def show_rules(output: Output) -> None:
    """Print every rule with its evidence, in order of precedence."""
    table = plain_table("rule", "if", "for", "against", "evidence", left=5, wraps=range(1, 5))
    for rule in RULES.values():
        sources = dict.fromkeys(item.source or f"normbench {item.study}" for item in rule.evidence)
        against = ", ".join((*rule.exclude, *rule.avoid))
        table.add_row(rule.name, rule.condition, ", ".join(rule.prefer), against, ", ".join(sources), end_section=True)
    documents = [_rule_document(Cited(rule, tuple((item, None) for item in rule.evidence))) for rule in RULES.values()]
    output.result(table, {"command": "advise", "rules": documents}, quiet="\n".join(RULES))
