"""The code fence that the model puts around an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENING = re.compile(r"^\s*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[A-Za-z0-9_+-]*)[ \t]*(?:\r?\n|$)?")


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


def unfence(answer: str) -> Fenced:
    """*answer* without the code fence around the whole of it.

    A closing fence may be glued to the last character; a fence that opens later, inside text, stays where it is.
    """
    opening = _OPENING.match(answer)
    if opening is None:
        return Fenced(answer)
    body = answer[opening.end() :]
    stripped = body.rstrip()
    fence = opening["fence"]
    language = opening["language"].lower()
    if stripped.endswith(fence):
        return Fenced(stripped[: -len(fence)].rstrip("`~") if fence[0] in "`~" else stripped, language, True)  # noqa: FBT003
    return Fenced(body, language, opened=True, closed=False)


def fence(body: str, language: str) -> str:
    """*body* in the fence the service puts around it."""
    return f"```{language}\n{body}\n```"
