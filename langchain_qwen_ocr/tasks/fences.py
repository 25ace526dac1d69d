"""The code fence that the model puts around an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENING = re.compile(r"[ \t]*(?P<marks>`{3,}|~{3,})[ \t]*(?P<language>[A-Za-z0-9_+-]*)[ \t]*(?:\r?\n|\Z)")
# The service has been seen to write the first character of the answer right behind the language.
_GLUED_OPENING = re.compile(r"[ \t]*(?P<marks>`{3,}|~{3,})[ \t]*(?P<language>json|html|latex|csv|text)?(?=[^\w\s])")
_HALF_CLOSING = re.compile(r"\n[ \t]*(?:`{1,2}|~{1,2})[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Fenced:
    """An answer without its fence."""

    body: str
    language: str = ""
    """The word after the opening fence, in lower case; empty when there is none."""
    opened: bool = False
    """Whether there was a fence."""
    closed: bool = True
    """False when an opened fence never closes: the answer was probably cut."""
    before: str = ""
    """Text before the fence."""
    after: str = ""
    """Text behind the fence."""


def unfence(answer: str) -> Fenced:
    """*answer* without the code fence around the whole of it.

    A closing fence may be glued to the last character. A fence that opens later, or one with text behind it, belongs
    to the text and stays where it is.
    """
    block = fenced_block(answer)
    if not block.opened or block.before.strip() or block.after.strip():
        return Fenced(answer)
    return block


def fenced_block(answer: str) -> Fenced:
    """The first fenced block of *answer*, with what stands around it; the whole answer when there is no fence."""
    opening = _find_opening(answer)
    if opening is None:
        half_opened = answer.strip() in {"`", "``", "~~"}
        return Fenced("", opened=True, closed=False) if half_opened else Fenced(answer)
    marks, language = opening["marks"], (opening["language"] or "").lower()
    before, body = answer[: opening.start()], answer[opening.end() :]
    closing = re.search(rf"(?:^|\n)[ \t]*{re.escape(marks)}[ \t]*(?=\r?\n|\Z)", body)
    glued = body.rstrip().endswith(marks)
    if closing is not None:
        inner = body[: closing.start()]
        inner = inner.removesuffix("\r") if opening[0].endswith("\r\n") else inner
        return Fenced(inner, language, opened=True, before=before, after=body[closing.end() :])
    if glued:
        return Fenced(body.rstrip().rstrip(marks[0]), language, opened=True, before=before)
    return Fenced(_HALF_CLOSING.sub("", body), language, opened=True, closed=False, before=before)


def _find_opening(answer: str) -> re.Match[str] | None:
    for start in _line_starts_of_marks(answer):
        opening = _OPENING.match(answer, start) or _GLUED_OPENING.match(answer, start)
        if opening is not None:
            return opening
    return None


def _line_starts_of_marks(answer: str) -> list[int]:
    return [m.start() for m in re.finditer(r"(?m)^[ \t]*(?:```|~~~)", answer)]


def fence(body: str, language: str) -> str:
    """*body* in the fence the service puts around it; a longer one when *body* holds fences itself."""
    longest = max((len(marks) for marks in re.findall(r"`{3,}", body)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}{language}\n{body}\n{marks}"
