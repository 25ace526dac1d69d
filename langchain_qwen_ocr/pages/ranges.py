"""Which pages of a source are wanted, as people write it: "1-3,7,10-"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from langchain_qwen_ocr.errors import OptionError, SourceError

_PART = re.compile(r"(?P<only>\d{1,9})|(?P<first>\d{1,9})?\s*-\s*(?P<last>\d{1,9})?", re.ASCII)
_DASHES = str.maketrans("–—‐，、；", "---,,,")
"""What word processors and other keyboards make of dashes and commas."""


@dataclass(frozen=True, slots=True)
class PageRanges:
    """Pages of a source that are wanted, in page order, each once."""

    parts: tuple[tuple[int, int | None], ...]
    """First and last page of each part, from 1; a last page of None is the end of the source."""

    def __contains__(self, page_index: int) -> bool:
        """Whether the page, from 0, is wanted."""
        number = page_index + 1
        return any(first <= number and (last is None or number <= last) for first, last in self.parts)

    @property
    def highest(self) -> int:
        """The highest page that is named, from 1."""
        return max(last or first for first, last in self.parts)

    @property
    def end(self) -> int | None:
        """The last wanted page, from 1; None when the pages are wanted to the end."""
        return None if any(last is None for _, last in self.parts) else self.highest

    def indexes(self, total_pages: int, *, source: str) -> list[int]:
        """The wanted pages of a source of *total_pages*, from 0, in page order.

        A range may end beyond the end, since sources of several lengths may be read alike; it must not begin there.

        Raises:
            SourceError: A page beyond the end is named; the message says how many there are.
        """
        beyond = max(first for first, _ in self.parts)
        if beyond > total_pages:
            raise SourceError(
                f"{source} has {total_pages} page{'s' if total_pages != 1 else ''}; there is no page "
                f"{beyond}. Choose pages from 1 to {total_pages}.",
                source=source,
            )
        wanted: set[int] = set()
        for first, last in self.parts:
            wanted.update(range(first - 1, total_pages if last is None else min(last, total_pages)))
        return sorted(wanted)


ALL_PAGES = PageRanges(((1, None),))


def parse_page_ranges(text: str | None) -> PageRanges:
    """The pages that *text* names: "3", "1-3,7", "10-" (to the end), "-4" (from the start); None for all.

    Raises:
        OptionError: A part is none of these, or it is no text; the message names it.

    >>> parse_page_ranges("1-3,7,10-").parts
    ((1, 3), (7, 7), (10, None))
    """
    if text is None:
        return ALL_PAGES
    if not isinstance(text, str):
        raise OptionError(f'pages is text such as "1-3,7,10-", not {text!r}.')
    return PageRanges(tuple(_part(part.strip(), text) for part in text.translate(_DASHES).split(",")))


def _part(part: str, text: str) -> tuple[int, int | None]:
    match = _PART.fullmatch(part)
    if match is None or part == "-":
        raise OptionError(f'pages={text!r}: {part!r} names no pages. Write it like "1-3,7,10-", counted from 1.')
    first = int(match["only"] or match["first"] or 1)
    end = match["only"] or match["last"]
    last = int(end) if end else None
    if first < 1 or last == 0:
        raise OptionError(f"pages={text!r}: {part!r} starts at 0; pages are counted from 1.")
    if last is not None and last < first:
        raise OptionError(f"pages={text!r}: {part!r} runs backwards. Write the lower page first.")
    return first, last
