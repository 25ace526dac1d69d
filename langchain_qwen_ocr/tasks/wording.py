r"""The normal form of text that was read, and how it is escaped in Markdown.

Inline mathematics stands in a text as LaTeX between `\(` and `\)`, a footnote's mark as `[^1]`: neither
occurs in running text by chance, as a dollar sign does.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MATH = re.compile(r"\\\(((?:(?!\\[()]).)*)\\\)", re.DOTALL)
"""Inline mathematics in a text; its first group is the LaTeX."""
FOOTNOTE_MARK = re.compile(r"\[\^([0-9A-Za-z]{1,8})\]")
"""A footnote's mark in a text; its first group names the note."""

_SPECIAL = re.compile(
    r"""\\(?=[!-/:-@\[-`{-~])              # a backslash that would escape what follows
      | `
      | (?<!\s)\*|\*(?!\s|$)               # a star between spaces is a star
      | (?<![^\W_])_|_(?![^\W_])           # so is an underscore inside a word
      | (?<=\])[(:]
      | ~(?=~)
    """,
    re.VERBOSE,
)
_TAG_OR_ENTITY = re.compile(r"<(?=[A-Za-z/!?])|&(?=\#|[A-Za-z][A-Za-z0-9]*;)")
_LINE_START = re.compile(r"^(?:[>+-](?=\s|$|[>-])|\#{1,6}(?=\s|$)|=+$|\d{1,9}(?=[.)](?:\s|$)))", re.MULTILINE)
_SOFT_BREAK = re.compile(r"(?<=[⺀-鿿豈-﫿＀-￯])[ \t]*\n[ \t]*(?=[⺀-鿿豈-﫿＀-￯])")
_RAISED = str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-−=()n", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₙ")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def normal_lines(text: str) -> str:
    """*text* with one space for every run of white space inside a line, and without empty lines.

    The mathematics in it stands on one line, without dangerous commands.
    """
    if "\\(" in text:
        text = MATH.sub(_normal_math, text)
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return "\n".join(line for line in (" ".join(line.split()) for line in text.split("\n")) if line)


def _normal_math(found: re.Match[str]) -> str:
    latex = " ".join(harmless_latex(found[1]).split())
    return f"\\({latex}\\)" if latex else ""


def running_text(text: str) -> str:
    """*text* with its line ends read as spaces, or as nothing between Chinese or Japanese characters."""
    return _SOFT_BREAK.sub("", text).replace("\n", " ")


def raised(text: str) -> str:
    """*text* in superscript characters, as far as there are any: `2` becomes `²`."""
    return text.translate(_RAISED)


def lowered(text: str) -> str:
    """*text* in subscript characters, as far as there are any: `2` becomes `₂`."""
    return text.translate(_LOWERED)


def split_math(text: str, plain: Callable[[str], str], math: Callable[[str], str]) -> str:
    """*text* with its running parts written by *plain* and the mathematics in it by *math*."""
    parts = MATH.split(text)
    return "".join(math(part) if index % 2 else plain(part) for index, part in enumerate(parts))


def markdown_text(text: str, *, escape_dollars: bool = True) -> str:
    """*text* as Markdown in which nothing but its mathematics and footnote marks has a meaning."""
    return split_math(text, lambda plain: _escaped(plain, escape_dollars=escape_dollars), _inline_math)


def markdown_cell(text: str, *, escape_dollars: bool = True) -> str:
    """*text* as a field of a pipe table."""
    if text.isalnum():
        return text
    return split_math(
        text,
        lambda plain: _escaped(plain, escape_dollars=escape_dollars).replace("|", "\\|").replace("\n", "<br>"),
        # A pipe ends the field even inside mathematics.
        lambda latex: _inline_math(latex.replace("\\|", "\\Vert ").replace("|", "\\vert ")),
    )


def _inline_math(latex: str) -> str:
    return f"${' '.join(latex.split())}$"


def _escaped(text: str, *, escape_dollars: bool) -> str:
    text = _SPECIAL.sub(r"\\\g<0>", text)
    if escape_dollars:
        text = text.replace("$", "\\$")
    text = _TAG_OR_ENTITY.sub(lambda found: _ENTITIES[found[0]], text)
    return _LINE_START.sub(_escaped_line_start, text)


def _escaped_line_start(found: re.Match[str]) -> str:
    # Of a list's number the dot or bracket after it is escaped, as a digit cannot be.
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


_DANGEROUS = re.compile(
    r"""\\\\|\\@*(?P<name>
        input|include|includeonly|InputIfFileExists|verbatiminput|lstinputlisting|includepdf|import|subimport
      | subfile|bibliography|includegraphics|openin|openout|closein|closeout|read|readline|write|immediate
      | special|directlua|latelua|luaexec|ShellEscape|usepackage|RequirePackage|documentclass|LoadClass
      | catcode|lccode|uccode|mathcode|active|def|edef|gdef|xdef|let|futurelet|global|csname|endcsname
      | newcommand|renewcommand|providecommand|DeclareRobustCommand|newenvironment|renewenvironment
      | expandafter|noexpand|scantokens|meaning|jobname|everypar|everymath|everydisplay|everyjob|aftergroup
      | loop|repeat|newread|newwrite|makeatletter|makeatother|batchmode|scrollmode|errorstopmode
      | require|href|url|class|cssId|style|html[A-Za-z]*|data|unicode|Link|begingroup
    )(?![A-Za-z])""",
    re.VERBOSE,
)
"""Commands that read, write or run something, change the language itself, or make a browser do so."""


def harmless_latex(latex: str) -> str:
    """*latex* in which commands that could read, write, run or redefine anything have lost their backslash."""
    # Two carets and a code are TeX's other way to write a backslash.
    while "^^" in latex:
        latex = latex.replace("^^", "^ ^")
    return _DANGEROUS.sub(lambda found: found["name"] or found[0], latex)
