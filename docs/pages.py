"""Pages of the site: those of docs/, and those that are made from the code, each exactly once in the navigation.

    python docs/pages.py FOLDER   # lay out the site's Markdown in FOLDER, for sphinx-build -c docs FOLDER build/site

Made from the code: a page per norm, the help of all commands, the entries of the Python API. README, notebooks and the
other pages outside docs/ get an address, and links between files become links between pages.
"""

import inspect
import json
import posixpath
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

import normbench
from normbench import errors
from normbench.advice.published import of_norm
from normbench.cli.main import app
from normbench.console.norm_page import documented_text
from normbench.norms import NORMS, NormInfo, default_arguments
from normbench.norms.weights import WEIGHTS
from normbench.report.gallery import gallery, norm_picture

ROOT = Path(__file__).parent.parent
NAVIGATION = {
    "Commands": ("train", "compare", "summary", "screens", "commands", "advice", "tuning"),
    "Studies": (
        "results", "learning-rates", "learning-rate-sensitivity", "batch-size", "depth", "cost", "mistakes", "rank",
        "claims", "verify",
    ),
    "Norms": ("norms/index", *(f"norms/{name}" for name in NORMS)),
    "Guides": (
        "notebooks/assignment", "notebooks/your_own_norm", "source-material", "networks", "regularization",
        "optimizers", "gpu", "cluster",
    ),
    "Reference": ("api", "ARCHITECTURE", "ADDING", "readme", "benchmarks/README", "contributing", "changelog"),
}  # fmt: skip
"""Sections of the site and their pages. A page that is in none fails the build."""
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks/README.md",
}
"""Files of the project outside docs/ that are pages, with their addresses."""
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
SCREENS = {
    "train": "normbench train --norm gn",
    "compare": "normbench compare --all --seeds 5",
    "summary": "normbench summary --norm gn",
    "norm": "normbench norms gn",
    "example": "normbench norms bn --example",
    "runs": "normbench runs",
    "advise": "normbench advise --task vision --batch-size 4 --devices 8",
}
"""Golden files that are shown, with their commands."""
ERRORS = ("NormbenchError", "UsageError", "DataError", "RunFailedError")
HELP_WIDTH = "90"


def lay_out(folder: Path) -> None:
    """Write all pages and pictures of the site into a folder, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "img", folder / "img")
    for path in (*(ROOT / "docs").glob("*.md"), *(ROOT / file for file in OUTSIDE)):
        file = path.relative_to(ROOT).as_posix()
        write(folder, site_address(file), with_page_links(path.read_text(encoding="utf-8"), file))
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.svg")):
        write(folder, site_address(path.relative_to(ROOT).as_posix()), path.read_text(encoding="utf-8"))
    for address, content in generated():
        write(folder, address, content)
    for address, content in (("index.md", navigation()), ("api.md", api_entries())):
        write(folder, address, (folder / address).read_text(encoding="utf-8") + content)


def write(folder: Path, address: str, content: str) -> None:
    """Write a file of the site."""
    path = folder / address
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def site_address(file: str) -> str:
    """Return the address of a file of the project on the site; empty for one that is not there."""
    if file in OUTSIDE:
        return OUTSIDE[file]
    folder, _, name = file.partition("/")
    if folder == "docs" and name.endswith((".md", ".svg")):
        return name
    if folder == "notebooks":
        return file.replace(".ipynb", ".md")
    return file if file.endswith(".svg") else ""


def with_page_links(text: str, file: str) -> str:
    """Turn links between files into links between their pages; of a link to a file without a page the text stays."""
    address, folder = site_address(file), posixpath.dirname(file)

    def replaced(link: re.Match[str]) -> str:
        linked = posixpath.normpath(posixpath.join(folder, link["target"]))
        if not (ROOT / linked).exists():
            return link[0]  # the build fails on it
        target = site_address(linked)
        if not target:
            return link["text"]
        relative = posixpath.relpath(target, posixpath.dirname(address) or ".")
        return f"{link['image']}[{link['text']}]({relative}{link['anchor'] or ''})"

    return LINK.sub(replaced, text)


def generated() -> Iterator[tuple[str, str]]:
    """Yield addresses and contents of the pages and pictures that are made from the code."""
    yield "commands.md", command_page()
    yield "screens.md", screen_page()
    yield "norms/index.md", norm_list()
    for info in NORMS.values():
        yield f"norms/{info.name}.md", norm_page(info)
        if has_picture(info):
            yield f"norms/{info.name}.svg", norm_picture(info, ".svg").decode()
    yield "norms/all.svg", gallery([*NORMS.values()], ".svg").decode()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        file = path.relative_to(ROOT).as_posix()
        yield site_address(file), with_page_links(notebook_page(path), file)


def navigation() -> str:
    """Make the sections of the navigation, in the syntax of MyST."""
    sections = (f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```" for title, pages in
                NAVIGATION.items())  # fmt: skip
    return "\n" + "\n\n".join(sections) + "\n"


def api_entries() -> str:
    """Make an entry per name of the Python API, and per kind of error."""
    # Functions first: the classes are what they return.
    names = sorted(normbench.__all__, key=lambda name: (inspect.isclass(getattr(normbench, name)), name))
    entries = [f"normbench.api.{name}" for name in names]
    kinds = ["class" if inspect.isclass(getattr(normbench, name)) else "function" for name in names]
    entries += [f"{errors.__name__}.{name}" for name in ERRORS]
    kinds += ["exception"] * len(ERRORS)
    parts = []
    for name, kind in zip(entries, kinds, strict=True):
        members = "\n   :members:\n   :exclude-members: __init__" * (kind == "class")
        parts.append(f"## {name.rpartition('.')[2]}\n\n```{{eval-rst}}\n.. auto{kind}:: {name}{members}\n```")
    return "\n" + "\n\n".join(parts) + "\n"


def command_page() -> str:
    """Make the page of all commands from their help."""
    parts = [
        "# All commands and flags",
        "As `normbench COMMAND --help` prints them.",
        *(f"## {command}\n\n```text\n{help_text(command)}\n```" for command in command_names()),
    ]
    return "\n\n".join(parts) + "\n"


def command_names() -> list[str]:
    """List the commands and sub-commands in the order of the help."""
    names: list[str] = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            names.append(" ".join((*path, name)))
            walk(sub, (*path, name))

    walk(typer.main.get_command(app), ())
    return names


def help_text(command: str) -> str:
    """Return the help of a command as text."""
    environment = {"COLUMNS": HELP_WIDTH, "NO_COLOR": "1"}
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="normbench", env=environment)
    return "\n".join(line.rstrip() for line in shown.stdout.strip("\n").splitlines())


def norm_list() -> str:
    """Make the page that lists the norms."""
    rows = [
        f"| [`{info.name}`]({info.name}.md) | {info.title} | {statistic(info)} | {paper(info.paper)} |"
        for info in NORMS.values()
    ]
    switches = [
        f"* `{name}`: {switch.title} ({paper(switch.paper)}). {switch.when}" for name, switch in WEIGHTS.items()
    ]
    parts = [
        "# Norms",
        "Each name goes with `--norm` and `--norms`. `normbench norms NAME` shows these pages in a terminal, with "
        "what was measured on your machine.",
        "\n".join(["| name | norm | statistic, axes | paper |", "|---|---|---|---|", *rows]),
        "![The cells of one statistic of every norm](all.svg)",
        "Added to any name:",
        "\n".join(switches),
    ]
    return "\n\n".join(parts) + "\n"


def statistic(info: NormInfo) -> str:
    """Describe the statistic and its axes in a few words."""
    return f"{info.statistic} over {info.axes}" if info.axes and not info.axes.is_empty else info.statistic


def has_picture(info: NormInfo) -> bool:
    """Test for a norm that takes a statistic over axes that are known."""
    return info.axes is not None and not info.axes.is_empty


def norm_page(info: NormInfo) -> str:
    """Make the page of a norm from its record."""
    parts = [f"# `{info.name}`: {info.title}", f"    y = {info.formula}", info.axes_sentence]
    if has_picture(info):
        batch = "The output for an image depends on its batch" if info.batch_statistics else "Each image stands alone"
        modes = "different things" if info.train_eval_differ else "the same"
        parts += [
            f"{batch}; train mode and eval mode compute {modes}.",
            f"![The cells of one statistic of {info.name}]({info.name}.svg)",
        ]
    parts += ["## When to use it", info.when]
    parts += ["## When not to", info.avoid] * bool(info.avoid)
    parts += ["## Common mistakes", "\n".join(f"* {mistake}" for mistake in info.mistakes)] * bool(info.mistakes)
    parts += ["## In torch", "\n".join(f"* `{call}` on {shapes}" for call, shapes in info.torch)] * bool(info.torch)
    defaults = ", ".join(f"{name}={value}" for name, value in default_arguments(info).items())
    parts += ["## Arguments", f"With their defaults: `{info.name}({defaults})`"] * bool(defaults)
    control = "bn" if info.name != "bn" else "gn"
    commands = f"normbench norms {info.name}\nnormbench compare --norms {control},{info.name} --seeds 3"
    parts += ["## Try it", f"```sh\n{commands}\n```"]
    parts += documented(info.name)
    parts += [f"Paper: {paper(info.paper)}"] * (info.paper != "-")
    return "\n\n".join(parts) + "\n"


def documented(name: str) -> list[str]:
    """Make the section of a norm's documented figures; empty for a norm without any."""
    rows = []
    for entry, label, value in of_norm(name):
        at = ", ".join(filter(None, (entry.part or f"batches of {entry.batch_size}", label.partition(" ")[2])))
        page = entry.page.removeprefix("docs/")
        rows.append(f"| {entry.quantity} | {at} | {documented_text(value)} | {entry.seeds} | [conditions](../{page}) |")
    heading = ["| figure | at | mean | seeds | measured on |", "|---|---|---:|---:|---|"]
    return ["## Measured", "\n".join([*heading, *rows])] if rows else []


def screen_page() -> str:
    """Make the page of example screens from the golden files of the tests."""
    parts = [
        "# What the commands print",
        "At 80 columns; the runs are those of the [results](results.md). These screens are files of the tests, which "
        "compare them with what the commands print.",
    ]
    for name, command in SCREENS.items():
        text = (ROOT / "tests" / "golden" / f"{name}.txt").read_text(encoding="utf-8")
        screen = text.partition("\n")[2].partition("\n=====")[0].strip("\n")
        parts.append(f"## {command}\n\n```text\n{screen}\n```")
    return "\n\n".join(parts) + "\n"


def paper(name: str) -> str:
    """Link the numbers of arXiv in a text."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", name)


def notebook_page(path: Path) -> str:
    """Make a page of a notebook: its text, and its code in boxes."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = []
    for cell in cells:
        text = "".join(cell["source"])
        # A magic of the notebook is no Python.
        language = "text" if text.startswith("%%") else "python"
        shown.append(text if cell["cell_type"] == "markdown" else f"```{language}\n{text}\n```")
    return "\n\n".join(shown) + "\n"


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
