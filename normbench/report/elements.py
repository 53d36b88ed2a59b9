"""What a page is made of; the template has a macro for each of these."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from normbench.report.figure import Plot


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning is one that must not be overlooked, a note one that explains."""

    text: str
    tone: Literal["plain", "note", "warning"] = "plain"
    kind: str = "text"


@dataclass(frozen=True)
class Grid:
    """A table: the first cell of a line is its heading, and figures stand flush right."""

    ident: str
    caption: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    figures: bool = True
    strong: frozenset[int] = frozenset()
    """Lines that are set apart."""
    kind: str = "grid"


@dataclass(frozen=True)
class Plots:
    """Plots side by side, where there is room."""

    plots: Sequence[Plot]
    kind: str = "plots"


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Norm:
    """A norm: what it computes and over what."""

    name: str
    title: str
    formula: str
    axes: str
    """What it averages over, in words."""
    when: str
    avoid: str
    """Empty where nothing is known."""
    paper: str
    picture: Markup | None
    kind: str = "norm"


@dataclass(frozen=True)
class Fold:
    """Something long, folded away under a line that says what it is."""

    summary: str
    blocks: "Sequence[Block]"
    kind: str = "fold"


Block = Text | Grid | Plots | Code | Norm | Fold


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, or why nothing does."""

    ident: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)
    missing: str = ""

    @property
    def plots(self) -> list[Plot]:
        """Every plot in it."""
        return [plot for block in self.blocks if isinstance(block, Plots) for plot in block.plots]
