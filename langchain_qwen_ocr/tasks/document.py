"""A document as a sequence of blocks, and its views: Markdown, LaTeX, HTML, plain text.

A text in a block is plain, in the normal form of `wording`: lines without empty ones, inline mathematics between `\\(`
and `\\)`, the mark of a footnote as `[^1]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.tasks.table import Table
from langchain_qwen_ocr.tasks.wording import normal_lines

MAX_HEADING_LEVEL = 5
"""The deepest of LaTeX's sections, `\\subparagraph`."""


def _normalize(block: object, *names: str) -> None:
    for name in names:
        object.__setattr__(block, name, normal_lines(getattr(block, name)))


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: level 0 is the document's title, 1 its topmost sections, 5 the deepest."""

    level: int
    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form.

        Raises:
            OptionError: There is no such level.
        """
        if not 0 <= self.level <= MAX_HEADING_LEVEL:
            raise OptionError(f"The level of a heading is 0 to {MAX_HEADING_LEVEL}, not {self.level}.")
        _normalize(self, "text")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; a line break in it is one that the document insists on."""

    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form."""
        _normalize(self, "text")


@dataclass(frozen=True, slots=True)
class Formula:
    """Mathematics on lines of its own."""

    latex: str
    """LaTeX without delimiters; an environment that lays it out, such as `align*`, is part of it."""

    def __post_init__(self) -> None:
        """Take white space off its ends."""
        object.__setattr__(self, "latex", self.latex.strip())


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table and its caption."""

    table: Table
    caption: str = ""

    def __post_init__(self) -> None:
        """Bring the caption to its normal form."""
        _normalize(self, "caption")


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item of a list."""

    text: str
    blocks: tuple[Block, ...] = ()
    """What else stands in the item: nested lists, formulas, further paragraphs."""
    term: str = ""
    """What the item describes, or its own label."""

    def __post_init__(self) -> None:
        """Bring the texts to their normal form."""
        _normalize(self, "text", "term")


@dataclass(frozen=True, slots=True)
class ListBlock:
    """A list, numbered or not."""

    items: tuple[ListItem, ...]
    ordered: bool = False

    @classmethod
    def of(cls, texts: Iterable[str], *, ordered: bool = False) -> ListBlock:
        """The list whose items are these texts."""
        return cls(tuple(map(ListItem, texts)), ordered=ordered)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in the document."""

    caption: str = ""
    source: str = ""
    """The file or address that the answer names; the model invents it."""

    def __post_init__(self) -> None:
        """Bring the texts to their normal form."""
        _normalize(self, "caption", "source")


@dataclass(frozen=True, slots=True)
class Footnote:
    """A note; its mark stands in the text of a block before it."""

    mark: str
    text: str

    def __post_init__(self) -> None:
        """Bring the text to its normal form."""
        _normalize(self, "mark", "text")


@dataclass(frozen=True, slots=True)
class Code:
    """Text whose lines and spaces count."""

    text: str

    def __post_init__(self) -> None:
        """Take the empty lines off its ends."""
        lines = self.text.expandtabs().rstrip().split("\n")
        first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
        object.__setattr__(self, "text", "\n".join(line.rstrip() for line in lines[first:]))


Block = Heading | Paragraph | Formula | TableBlock | ListBlock | Figure | Footnote | Code
