"""Names of experiments, which become folders on any file system."""

import re

from normbench.errors import UsageError

LONGEST = 100
"""Bytes in UTF-8; file systems allow 255, and files within the folder have names, too."""
SEPARATORS = '/\\:*?"<>|'
"""Separators, and what Windows keeps for itself."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Devices of Windows."""


def check_name(name: str, source: str) -> str:
    """The name of an experiment, if it can be one.

    Args:
        name: As it was given.
        source: Where it comes from, as in "--name".

    Raises:
        UsageError: It would be a path, hidden, unprintable, reserved or too long.
    """
    problem = _problem(name)
    if problem:
        raise UsageError(
            f"{source} gives the experiment the name {name!r}, which {problem}",
            "Give it a name of letters, digits, '.', '-' and '_': --name NAME",
        )
    return name


def _problem(name: str) -> str | None:
    """Why it can be no name; None where it can."""
    bad = " ".join(sorted(set(name) & set(SEPARATORS)))
    problems = {
        "is empty": not name.strip(),
        "has characters that cannot be printed": not name.isprintable(),
        f"has {bad} in it": bool(bad),
        "begins with '.' or '-'": name.startswith((".", "-")),
        "ends with '.'": name.endswith("."),
        "has blanks around it": name != name.strip(),
        "Windows keeps for a device": RESERVED.fullmatch(name) is not None,
        f"is longer than {LONGEST} bytes": len(name.encode(errors="replace")) > LONGEST,
    }
    return next((problem for problem, applies in problems.items() if applies), None)
