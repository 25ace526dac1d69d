"""A page as headings, paragraphs, lists and tables."""

from __future__ import annotations

import textwrap

import pytest

from langchain_qwen_ocr.geometry import Point, Quad, Size
from langchain_qwen_ocr.tasks.document import Block, Formula, Heading, ListBlock, ListItem, Paragraph, TableBlock
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.layout_document import find_blocks
from langchain_qwen_ocr.tasks.layout_tables import find_tables

PAGE = Size(1200, 1700)
LETTER_PX = 14


class Sheet:
    """A page that is written from top to bottom."""

    def __init__(self, left: float = 60, top: float = 40) -> None:
        self.left, self.y = left, top
        self.lines: list[LayoutLine] = []
        self.rulings: list[Ruling] = []

    def line(self, text: str, *, at: float = 0, height: float = 32, step: float = 40) -> Sheet:
        """One line, *at* px right of the margin; the pen moves down by *step*."""
        letter = height * LETTER_PX / 32
        width = sum(2 * letter if ord(character) > 0x2E80 else letter for character in text)
        left = self.left + at
        self.lines.append(LayoutLine(text, Quad.of(left, self.y, left + width, self.y + height)))
        self.y += step
        return self

    def paragraph(self, text: str, *, letters: int = 60, first: float = 0, rest: float = 0) -> Sheet:
        """Running text of lines of so many letters, the first and the others so far from the margin."""
        for number, row in enumerate(textwrap.wrap(text, letters, break_on_hyphens=False)):
            self.line(row, at=rest if number else first)
        return self

    def gap(self, px: float = 30) -> Sheet:
        self.y += px
        return self

    def table(self, *rows: str, width: float = 200) -> Sheet:
        """A drawn table of one word a cell."""
        xs = [self.left + width * number for number in range(len(rows[0].split()) + 1)]
        ys = [self.y + 60 * number for number in range(len(rows) + 1)]
        self.rulings += [Ruling(Point(xs[0], y), Point(xs[-1], y)) for y in ys]
        self.rulings += [Ruling(Point(x, ys[0]), Point(x, ys[-1])) for x in xs]
        for y, row in zip(ys, rows, strict=False):
            for x, word in zip(xs, row.split(), strict=False):
                self.lines.append(LayoutLine(word, Quad.of(x + 10, y + 14, x + 10 + LETTER_PX * len(word), y + 46)))
        self.y = ys[-1] + 40
        return self

    @property
    def layout(self) -> Layout:
        return Layout(PAGE, PAGE, tuple(self.lines), tuple(self.rulings))


TIDE = (
    "For ninety years a clock on the harbour wall told the town not the hour but the height of the water. "
    "Its single hand moved up at flood and down at ebb."
)
CHAIN = (
    "The chain was replaced. The old one had stretched by eleven links in three hundred, and somebody had made up "
    "for it by moving the dial."
)
ZH = ("本店所售商品七日内可凭小票退换，食品类商品除外，", "请妥善保管小票。")


def blocks(sheet: Sheet) -> tuple[Block, ...]:
    return find_blocks(sheet.layout)


def test_a_title_headings_and_paragraphs():
    """What is larger than the body is a heading, by rank of its size; the largest at the top is the title."""
    sheet = Sheet().line("The Clock", height=80, step=120).line("What was found", height=48, step=70)
    sheet.paragraph(TIDE).gap().line("The chain", height=48, step=70).paragraph(CHAIN)
    assert blocks(sheet) == (
        Heading(0, "The Clock"),
        Heading(1, "What was found"),
        Paragraph(TIDE),
        Heading(1, "The chain"),
        Paragraph(CHAIN),
    )


def test_headings_without_a_title():
    """Several headings of one size are sections, none of them the title."""
    sheet = Sheet().line("One", height=48, step=70).paragraph(TIDE).gap()
    sheet.line("Two", height=48, step=70).paragraph(CHAIN)
    assert [block.level for block in blocks(sheet) if isinstance(block, Heading)] == [1, 1]


def test_a_heading_of_two_lines_is_one():
    """Lines of a size close below each other are one heading."""
    sheet = (
        Sheet().line("The Clock That Kept", height=80, step=90).line("the Tide", height=80, step=140).paragraph(TIDE)
    )
    assert blocks(sheet) == (Heading(0, "The Clock That Kept the Tide"), Paragraph(TIDE))


def test_numbers_that_count_up_make_headings():
    """Rows as high as the body are headings when their numbers count up; a house number is none."""
    sheet = Sheet().line("12 Weir Lane, Exampleton").gap().line("1 What was found").gap(10).paragraph(TIDE).gap()
    sheet.line("1.1 Its chain").gap(10).paragraph(CHAIN).gap().line("2 Setting the hand").gap(10).paragraph(TIDE)
    assert blocks(sheet) == (
        Paragraph("12 Weir Lane, Exampleton"),
        Heading(1, "1 What was found"),
        Paragraph(TIDE),
        Heading(2, "1.1 Its chain"),
        Paragraph(CHAIN),
        Heading(1, "2 Setting the hand"),
        Paragraph(TIDE),
    )


def test_large_sentences_and_sums_are_no_headings():
    """A heading ends in no full stop and is not a number."""
    sheet = Sheet().line("Read this first.", height=60, step=90).line("1,222.20", height=60, step=90).paragraph(TIDE)
    assert not any(isinstance(block, Heading) for block in blocks(sheet))


PARAGRAPHS = {
    "a gap": Sheet().paragraph(TIDE).gap().paragraph(CHAIN),
    "an indented first line": Sheet().paragraph(TIDE, first=50).paragraph(CHAIN, first=50),
    "a short last line": Sheet().paragraph(TIDE).paragraph(CHAIN),
}


@pytest.mark.parametrize("sheet", PARAGRAPHS.values(), ids=PARAGRAPHS)
def test_where_a_paragraph_begins(sheet):
    """A gap, an indentation or a short last line part paragraphs."""
    assert blocks(sheet) == (Paragraph(TIDE), Paragraph(CHAIN))


def test_a_divided_word_is_joined():
    """The hyphen at a line's end goes; that of a compound before a capital stays."""
    sheet = Sheet().line("This is what a small work-").line("shop can do with an Anglo-").line("Saxon crane")
    assert blocks(sheet) == (Paragraph("This is what a small workshop can do with an Anglo-Saxon crane"),)


def test_chinese_lines_are_joined_without_blanks():
    """Between Chinese letters a line's end is nothing."""
    sheet = Sheet().line(ZH[0], at=0).line(ZH[1])
    assert blocks(sheet) == (Paragraph("".join(ZH)),)


def test_lines_that_end_on_purpose_stay_lines():
    """An address keeps its lines."""
    sheet = (
        Sheet().line("Brindle Vale Workshop").line("Unit 5, Cooper's Yard").line("Exampleton").gap(60).paragraph(TIDE)
    )
    assert blocks(sheet) == (Paragraph("Brindle Vale Workshop\nUnit 5, Cooper's Yard\nExampleton"), Paragraph(TIDE))


def test_a_label_and_its_value_are_a_paragraph():
    """Rows with a wide blank inside are not run together."""
    sheet = Sheet().paragraph(TIDE).gap()
    for label, value in (("Number:", "A-1"), ("Date:", "3 May"), ("Paid by:", "Lin")):
        sheet.line(label, step=0).line(value, at=400)
    assert blocks(sheet)[1:] == (Paragraph("Number: A-1"), Paragraph("Date: 3 May"), Paragraph("Paid by: Lin"))


def test_a_paragraph_goes_on_in_the_next_column():
    """A sentence that a column's end divides is one paragraph."""
    words = f"{TIDE} {CHAIN} {TIDE} {CHAIN}"
    rows = textwrap.wrap(words, 30, break_on_hyphens=False)
    half = next(number for number in range(len(rows) // 2, len(rows)) if rows[number][0].islower())
    left, right = Sheet(), Sheet(left=620, top=51)
    for number, row in enumerate(rows):
        (left if number < half else right).line(row)
    left.lines += right.lines
    (paragraph, *others) = blocks(left)
    assert paragraph == Paragraph(words)
    assert others == []


def test_lists_with_bullets():
    """Each bullet begins an item; rows below the words of an item go on with it."""
    sheet = Sheet().paragraph(TIDE).gap()
    for item in (CHAIN, "Two bridges", TIDE):
        sheet.paragraph(f"\u2022 {item}", first=20, rest=48)
    assert blocks(sheet) == (Paragraph(TIDE), ListBlock.of([CHAIN, "Two bridges", TIDE]))


@pytest.mark.parametrize(
    "marks",
    [("1.", "2.", "3."), ("(1)", "(2)", "(3)"), ("a)", "b)", "c)"), ("1\u3001", "2\u3001", "3\u3001"), ("①", "②", "③")],
    ids=" ".join,
)
def test_numbered_lists(marks):
    """Numbers that count up make a list; the number is not part of the item."""
    sheet = Sheet()
    for mark, item in zip(marks, ("Subject of the lease", CHAIN, "Use"), strict=True):
        sheet.paragraph(f"{mark} {item}", rest=40)
    assert blocks(sheet) == (ListBlock.of(["Subject of the lease", CHAIN, "Use"], ordered=True),)


def test_a_list_from_the_page_before_keeps_its_numbers():
    """A list that does not begin at 1 is not numbered anew."""
    sheet = Sheet().paragraph(f"5. {CHAIN}", rest=40).line("6. Use")
    assert blocks(sheet) == (ListBlock((ListItem(CHAIN, term="5."), ListItem("Use", term="6."))),)


def test_numbers_that_do_not_count_up_are_no_list():
    """A decimal number or a year at the start of a line is text."""
    sheet = Sheet().line("3.5 kg of apples").gap().line("2026. A good year").gap().line("7. July")
    assert blocks(sheet) == (Paragraph("3.5 kg of apples"), Paragraph("2026. A good year"), Paragraph("7. July"))


def test_tables_stand_in_place():
    """A table comes where it is drawn, its words nowhere else, and the row that names it becomes its caption."""
    sheet = Sheet().paragraph(TIDE).gap().line("Table 1. Samples").gap(10).table("a b", "c d").gap().paragraph(CHAIN)
    (placed,) = find_tables(sheet.layout)
    assert blocks(sheet) == (Paragraph(TIDE), TableBlock(placed.table, "Table 1. Samples"), Paragraph(CHAIN))


def test_a_page_that_is_a_table():
    """A page without a line outside of its table is that table."""
    sheet = Sheet().table("a b", "c d")
    assert blocks(sheet) == (TableBlock(find_tables(sheet.layout)[0].table),)


def test_an_equation_on_a_line_of_its_own():
    """An equation is a formula; a sum in words is text, and so is any part of a stacked one."""
    sheet = Sheet().paragraph(TIDE).gap().line("E = mc²").gap().line("Total = 52").gap().paragraph(CHAIN)
    assert blocks(sheet) == (Paragraph(TIDE), Formula("E = mc^{2}"), Paragraph("Total = 52"), Paragraph(CHAIN))


def test_the_parts_of_a_fraction_are_no_equations():
    """On a page with a fraction no line is called a whole formula."""
    sheet = Sheet().line("a = b", step=60).line("c = d", step=160).line("α = β")
    assert blocks(sheet)[-1] == Formula(r"\alpha = \beta")
    sheet.rulings.append(Ruling(Point(55, 86), Point(135, 86)))
    assert not any(isinstance(block, Formula) for block in blocks(sheet))


def test_an_empty_page():
    """No lines, no blocks."""
    assert blocks(Sheet()) == ()
