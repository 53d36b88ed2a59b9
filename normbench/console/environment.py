"""Output of `env` on the terminal."""

import os
import platform

from normbench import __version__
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.data import check_torchvision
from normbench.device import describe, resolve_device
from normbench.errors import DataError
from normbench.runs.environment import package_versions


def show_environment(output: Output, device_name: str) -> None:
    """Print versions, the default device of runs, and problems of the installation."""
    device = resolve_device(device_name)
    try:
        check_torchvision()
        problem = None
    except DataError as error:
        problem = f"{error.message}. {error.hint}"
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
    check = Text(problem, style="red") if problem else Text("torch and torchvision match.", style="green")
    document = {"command": "env", "environment": facts, "device": device.type, "problem": problem}
    output.result([table, check], document, quiet=device.type)
