"""What the commands that train begin with, once their plan is made: warnings, and under --dry-run the plan itself."""

from typing import TYPE_CHECKING

from normbench.cli.options import Options

if TYPE_CHECKING:
    from normbench.console import ProgressCallback
    from normbench.engine import Plan


def announce(options: Options, plan: "Plan", progress: "ProgressCallback") -> bool:
    """Tell what is to come; returns whether it is to come, which it is not under --dry-run."""
    from normbench.console.tables import show_plan

    output = options.output()
    progress.expect(plan)
    for warning in plan.warnings:
        output.warning(warning)
    if options["dry_run"]:
        show_plan(output, plan)
    return not options["dry_run"]
