"""Output of `env` on the terminal."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

from normbench import __version__
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.device import describe, resolve_device
from normbench.engine.installation import Check
from normbench.runs.environment import package_versions


def show_environment(output: Output, device_name: str, checks: Sequence[Check]) -> None:
    """Print versions, the default device of runs, and the checks of the installation."""
    device = resolve_device(device_name)
    facts = {
        "normbench": __version__,
        "python": platform.python_version(),
        **{name: version or "not installed" for name, version in package_versions().items()},
        "platform": platform.platform(),
        "device": f"{device.type}: {describe(device)}",
        "CPU cores": str(os.cpu_count()),
    }
    table = plain_table("component", "version", left=2)
    for name, value in facts.items():
        table.add_row(name, value)
    checked = plain_table("check", "state", "detail", left=2, wraps=[2])
    for check in checks:
        state = Text("ok", style="green") if check.passed else Text("failed", style="bold red")
        checked.add_row(check.name, state, check.detail)
    document = {
        "command": "env",
        "environment": facts,
        "device": device.type,
        "checks": [asdict(check) for check in checks],
        "problem": next((check.detail for check in checks if not check.passed), None),
    }
    output.result([table, checked], document, quiet=device.type)
