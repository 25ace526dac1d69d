"""What every task's result offers: `text`, `regions`, `metadata()`, and how it came out of the answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import Affine, PageMap, Quad, Size, SizePt

P = TypeVar("P")

MetadataValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of text and where it stands.

    In `reading.regions` places are pixels of the original, upright page.
    """

    text: str
    """Empty when the model gave a place without text."""
    quad: Quad
    """Four corners, clockwise from the text's own top-left, as the service itself maps them."""
    rectangle: Quad | None = None
    """The truer rectangle for slanted text on a picture that is not square; None when it equals `quad`."""
    angle_deg: float = 0.0
    """The direction in which the text runs: 0 to the right, 90 downwards."""
    page_index: int = 0
    """The page it stands on, from 0."""
    quad_pt: Quad | None = None
    """The corners in points of 1/72 inch, from the page's top-left; None where the page has no size on paper."""
    quad_normalized: Quad | None = None
    """The corners in fractions of the page, 0…1."""

    def on_page(self, size_px: Size, size_pt: SizePt | None, page_index: int) -> Region:
        """The region with its places in points and in fractions of that page."""
        normalized = self.quad.normalized(size_px)
        return dataclasses.replace(
            self,
            page_index=page_index,
            quad_normalized=normalized,
            quad_pt=None if size_pt is None else normalized.mapped(Affine.scaling(*size_pt)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The base of all results: immutable, equal by content, whatever had to be repaired on the way."""

    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What was repaired or dropped while the answer was read."""
    cut: bool = field(default=False, compare=False)
    """The answer stops in the middle of a structure; what was complete is here."""

    joins: ClassVar[bool] = False
    """Whether the results of a page's parts can be put together."""
    forms: ClassVar[Mapping[str, str]] = {"text": "text", "md": "to_markdown", "json": "to_json"}
    """The forms it can be written in, and the attribute or method that writes each."""

    @property
    def text(self) -> str:
        """What goes into `page_content`."""
        raise NotImplementedError

    @property
    def regions(self) -> tuple[Region, ...]:
        """Pieces of text with their places, in the model's own order; empty for tasks without places."""
        return ()

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self.text.strip() and not self.regions

    def join(self, below: Self) -> Self:
        """One result of two parts of a page that overlap a little, *below* being the lower part.

        Raises:
            OptionError: Parts of such results cannot be put together honestly; see `joins`.
        """
        raise OptionError(f"{type(self).__name__} of parts of a page cannot be joined ({below!r:.40}).")

    def metadata(self) -> dict[str, MetadataValue]:
        """Flat facts about it, for a Document's metadata."""
        return {}

    def mapped(self, to_page: PageMap) -> Self:  # noqa: ARG002 - results without places are the same anywhere
        """The result with its places in pixels of the page."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """It as plain lists, dictionaries, strings and numbers."""
        names = (f.name for f in dataclasses.fields(self) if f.name not in {"warnings", "cut"})
        return {name: plain(getattr(self, name)) for name in names}

    def to_json(self) -> str:
        """It as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, default=str)

    def to_markdown(self) -> str:
        """It as Markdown."""
        return self.text

    def render(self, form: str) -> str:
        """It in one of its `forms`.

        Raises:
            OptionError: It has no such form.
        """
        if form not in self.forms:
            known = ", ".join(self.forms)
            raise OptionError(f"{type(self).__name__} has no form {form!r}; choose one of {known}.")
        written = getattr(self, self.forms[form])
        return str(written() if callable(written) else written)


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """*value* as lists, dictionaries, strings and numbers; a quad as four pairs."""
    if isinstance(value, Quad):
        return [[round(n, 3) for n in point] for point in value.points]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value


@dataclass(frozen=True, slots=True)
class Text(Result):
    """Running text."""

    text: str = ""
    """Lines as the model gave them, without a code fence around them."""
    data: Any = None
    """The JSON value, when the answer is JSON."""

    joins: ClassVar[bool] = True

    def join(self, below: Self) -> Self:
        """Both texts; lines that end one and begin the other stand once."""
        return dataclasses.replace(
            self,
            text=join_lines(self.text, below.text),
            data=None,
            warnings=(*self.warnings, *below.warnings),
            cut=self.cut or below.cut,
        )


_OVERLAP = 12
"""How many lines, or other pieces, two parts of a page may share."""


def join_pieces(above: Sequence[P], below: Sequence[P], *, key: Callable[[P], object] = lambda piece: piece) -> list[P]:
    """The pieces of two parts; those that end the first and begin the second stand once."""
    for shared in range(min(_OVERLAP, len(above), len(below)), 0, -1):
        if [key(piece) for piece in above[-shared:]] == [key(piece) for piece in below[:shared]]:
            return [*above, *below[shared:]]
    return [*above, *below]


def join_lines(above: str, below: str) -> str:
    """Two texts in one; the lines that end the first and begin the second stand once."""
    joined = join_pieces(above.rstrip().split("\n"), below.lstrip("\n").split("\n"), key=_bare)
    return "\n".join(joined).strip("\n")


def _bare(line: str) -> str:
    return "".join(line.split())
