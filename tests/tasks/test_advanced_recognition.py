"""Lines with places, in every form in which they come."""

from __future__ import annotations

import json

import pytest

from langchain_qwen_ocr import AdvancedRecognition, Quad
from langchain_qwen_ocr.errors import AnswerError
from langchain_qwen_ocr.geometry import Affine, CoordinateFrame, PageMap, Point, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine
from langchain_qwen_ocr.tasks.places import Line, Lines

TASK = AdvancedRecognition()
ONE = Quad.of(400, 450, 600, 550)
TWO = Quad.of(100, 80, 300, 120)


def page_map(width: int, height: int, *, frame: CoordinateFrame = CoordinateFrame.THOUSANDTHS) -> PageMap:
    """The way to a page that was sent as it is."""
    return PageMap(frame=frame, sent=Size(width, height), page=Size(width, height))


TWO_LINES = [("RENT", ONE), ("Due", TWO)]
FORMS = {
    "fenced objects": (
        (
            '```json\n[\n\t{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"},\n'
            '\t{"rotate_rect": [200, 100, 40, 200, 90], "text": "Due"}\n]\n```'
        ),
        TWO_LINES,
    ),
    "bare objects, width along the line": (
        (
            '[{"rotate_rect": [500, 500, 200, 100, 0], "text": "RENT"},'
            ' {"text": "Due", "rotate_rect": [200, 100, 200, 40, 0]}]'
        ),
        TWO_LINES,
    ),
    "rectangles as marked text": (
        (
            '[{"rotate_rect": "<500><500><200><100><0>", "text": "RENT"},'
            ' {"rotate_rect": "<200><100><200><40><0>", "text": "Due"}]'
        ),
        TWO_LINES,
    ),
    "blocks of places": (
        (
            '[{"pos_list": [{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"},'
            ' {"rotate_rect": [200, 100, 40, 200, 90], "text": "Due"}]}]'
        ),
        TWO_LINES,
    ),
    "native, corners and rectangle": (
        (
            '{"words_info": [{"location": [400, 450, 600, 450, 600, 550, 400, 550],'
            ' "rotate_rect": [1, 1, 1, 1, 0], "text": "RENT"},'
            ' {"location": [100, 80, 300, 80, 300, 120, 100, 120], "text": "Due"}]}'
        ),
        TWO_LINES,
    ),
    "native, begun at the bottom-left": (
        '{"ocr_result": {"words_info": [{"location": [400, 550, 400, 450, 600, 450, 600, 550], "text": "RENT"}]}}',
        TWO_LINES[:1],
    ),
    "native, rectangle only": (
        '{"words_info": [{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]}',
        TWO_LINES[:1],
    ),
    "lists": ('[[500, 500, 100, 200, 90, "RENT"], [200, 100, 40, 200, 90, "Due"]]', TWO_LINES),
    "two corners": ('[{"bbox_2d": [400, 450, 600, 550], "text": "RENT"}]', TWO_LINES[:1]),
    "rows with text": ("500,500,100,200,90,RENT\n200,100,40,200,90,Due", TWO_LINES),
    "fenced rows": ("```csv\n500,500,100,200,90,RENT\n200,100,40,200,90,Due\n```", TWO_LINES),
    "rows without text": ("500,500,100,200,90\n200,100,40,200,90", [("", ONE), ("", TWO)]),
    "rows with a comma in the text": (
        "500,500,100,200,90,Rent, and more\n200,100,40,200,90,2024",
        [("Rent, and more", ONE), ("2024", TWO)],
    ),
    "a blank for a comma": ("500 500,100,200,90\n200,100,40,2 00,90", [("", ONE), ("", TWO)]),
    "several on a line": ("(500,500,100,200,90), (200,100,40,200,90)", [("", ONE), ("", TWO)]),
    "several on a line, the last one broken": (
        "(500,500,100,200,90), (200,100,40,200,90), (334,)",
        [("", ONE), ("", TWO)],
    ),
    "numbered lines with a rectangle behind": (
        "1. RENT [500, 500, 100, 200, 90]\n2. Due [200, 100, 40, 200, 90]",
        TWO_LINES,
    ),
    "numbered lines with a rectangle below": (
        "1. RENT\n[500, 500, 100, 200, 90]\n2. Due\n[200, 100, 40, 200, 90]",
        TWO_LINES,
    ),
    "objects one below the other": (
        (
            '{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}\n'
            '{"rotate_rect": [200, 100, 40, 200, 90], "text": "Due"}'
        ),
        TWO_LINES,
    ),
    "several fences": (
        (
            '```json\n[{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]\n```\n'
            '```json\n[{"rotate_rect": [200, 100, 40, 200, 90], "text": "Due"}]\n```'
        ),
        TWO_LINES,
    ),
    "rectangles in front": ("[500, 500, 100, 200, 90] RENT\n[200, 100, 40, 200, 90] Due", TWO_LINES),
    "text in front": ("RENT, 500,500,100,200,90\nDue: 200,100,40,200,90", TWO_LINES),
    "tabs": ("500,500,100,200,90\tRENT\n200,100,40,200,90\tDue", TWO_LINES),
    "prose around": (
        'The lines are:\n```json\n[{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]\n```\nThat is all.',
        TWO_LINES[:1],
    ),
    "a bracket missing": (
        '```json\n[{"pos_list": [{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]}```',
        TWO_LINES[:1],
    ),
    "prose in front, no fence": (
        'The lines are:\n[{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"}]',
        TWO_LINES[:1],
    ),
    "rows with their names on top": (
        "```csv\ncx,cy,width,height,angle,text\n500,500,100,200,90,RENT\n200,100,40,200,90,Due\n```",
        TWO_LINES,
    ),
    "rows whose text is a number with commas": (
        "500,500,100,200,90,RENT\n200,100,40,200,90,12,500.00",
        [("RENT", ONE), ("12,500.00", TWO)],
    ),
    "rows whose text is always a number": (
        "500,500,100,200,90,7\n500,500,100,200,90,8\n200,100,40,200,90,2,000",
        [("7", ONE), ("8", ONE), ("2,000", TWO)],
    ),
    "rows parted by tabs": ("500\t500\t100\t200\t90\tRENT\n200\t100\t40\t200\t90\tDue", TWO_LINES),
    "a text and its rectangle": ('[["RENT", [500, 500, 100, 200, 90]], ["Due", [200, 100, 40, 200, 90]]]', TWO_LINES),
    "texts as names": ('{"RENT": [500, 500, 100, 200, 90], "Due": [200, 100, 40, 200, 90]}', TWO_LINES),
    "a degree sign": ('[{"rotate_rect": "500, 500, 100, 200, 90°", "text": "RENT"}]', TWO_LINES[:1]),
    "named numbers": (
        (
            '[{"cx": 500, "cy": 500, "width": 100, "height": 200, "angle": 90, "text": "RENT"},'
            ' {"bbox": {"x1": 100, "y1": 80, "x2": 300, "y2": 120}, "text": "Due"}]'
        ),
        TWO_LINES,
    ),
    "corners as pairs": (
        '[{"points": [[400, 450], [600, 450], [600, 550], [400, 550]], "text": "RENT"}]',
        [("RENT", ONE)],
    ),
    "a question with its parts": (
        (
            '[{"question": {"stem": {"text": "RENT", "pos_list": [{"rotate_rect": [500, 500, 100, 200, 90]}]},'
            ' "option": [{"text": "Due", "pos_list": [[100, 80, 300, 80, 300, 120, 100, 120]]}],'
            ' "figure": [], "answer": null, "type": "choice", "subquestion": []}}]'
        ),
        TWO_LINES,
    ),
    "a question as one": (
        (
            '[{"question": "RENT", "option": ["A. 5", "B. 8"], "figure": [], "answer": "", "type": "choice",'
            ' "pos_list": [[400, 450, 600, 450, 600, 550, 400, 550], [100, 80, 300, 80, 300, 120, 100, 120]]}]'
        ),
        [("RENT\nA. 5\nB. 8", ONE), ("", TWO)],
    ),
    "a line and its characters": (
        '[{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT", "chars": ["R", "E", "N", "T"]}]',
        TWO_LINES[:1],
    ),
    "nothing": ("```json\n[]\n```", []),
    "an object of nothing": ("{}", []),
}


@pytest.mark.parametrize(("answer", "expected"), FORMS.values(), ids=FORMS)
def test_a_form_is_read(answer: str, expected: list[tuple[str, Quad]]) -> None:
    """Each way in which the model writes places gives the same lines."""
    lines = TASK.parse(answer)
    assert [(line.text, line.quad) for line in lines.lines] == expected
    assert not lines.cut


def test_places_without_text_are_regions_with_a_warning() -> None:
    """A place is worth keeping even when the model did not say what stands there."""
    lines = TASK.parse("500,500,100,200,90\n200,100,40,200,90")
    assert [region.text for region in lines.regions] == ["", ""]
    assert lines.warnings == ("2 of 2 places came without text.",)


def test_a_cut_answer_keeps_its_complete_lines() -> None:
    """The half-written last line is left out, and that is said."""
    lines = TASK.parse(
        '```json\n[\n\t{"rotate_rect": [500, 500, 100, 200, 90], "text": "RENT"},\n\t{"rotate_rect": [200, 100'
    )
    assert [line.text for line in lines.lines] == ["RENT"]
    assert lines.cut
    assert "stops in its middle" in lines.warnings[0]


@pytest.mark.parametrize(
    "answer",
    [
        "Total 12.50",
        '[{"question": "RENT?", "option": ["5", "8"], "pos_list": []}]',
        '{"totals": [1, 2, 3, 4, 90]}',
        '{"total": 3}',
        '["a", "b"]',
        "1 2 3",
    ],
)
def test_an_answer_without_places_is_refused(answer: str) -> None:
    """Text without places is in none of the task's forms."""
    with pytest.raises(AnswerError):
        TASK.parse(answer)


def test_a_numbered_line_cut_in_its_rectangle_is_left_out() -> None:
    """Half a rectangle is no text of the line before it."""
    lines = TASK.parse("1. RENT [500, 500, 100, 200, 90]\n2. Due [200, 100, 40")
    assert (lines.text, lines.cut) == ("RENT", True)


def test_a_row_without_a_place_is_not_lost() -> None:
    """Text that runs on below its place belongs to the line before."""
    lines = TASK.parse("500,500,100,200,90,RENT\nper month\n200,100,40,200,90,Due")
    assert lines.text == "RENT\nper month\nDue"
    assert "Rows without a place" in lines.warnings[0]


def test_slanted_text_lies_where_the_service_puts_it() -> None:
    """Corners are truncated on the grid of thousandths, then scaled axis by axis."""
    line = (
        TASK.parse('[{"rotate_rect": [200, 300, 100, 40, 30], "text": "Sale!"}]').mapped(page_map(4000, 1000)).lines[0]
    )
    assert line.quad.rounded() == Quad.from_numbers([664, 257, 1012, 307, 932, 342, 584, 292])
    assert line.angle_deg == pytest.approx(8.2, abs=0.1)


def test_slanted_text_has_a_truer_rectangle() -> None:
    """Along the mapped line, as high as the skewed box is across it."""
    lines = TASK.parse('[{"rotate_rect": [200, 300, 100, 40, 30], "text": "Sale!"}]').mapped(page_map(4000, 1000))
    rectangle = lines.regions[0].rectangle
    assert rectangle is not None
    assert (round(rectangle.width), round(rectangle.height)) == (350, 46)
    assert rectangle.center == pytest.approx((800, 300))


def test_upright_text_needs_no_truer_rectangle() -> None:
    """The service's box is right where nothing is skewed."""
    lines = TASK.parse("500,500,100,200,90,RENT").mapped(page_map(4000, 1000))
    assert lines.regions[0].rectangle is None


DIRECTIONS = {
    "horizontal, newer models": ([500, 500, 100, 200, 90], 0),
    "horizontal, older models": ([500, 500, 100, 200, -89], 1),
    "horizontal, width along the line": ([500, 500, 200, 100, 0], 0),
    "downwards": ([500, 500, 300, 20, 90], 90),
    "downwards, the other way round": ([500, 500, 20, 300, 0], 90),
    "rising": ([500, 500, 40, 200, 60], -30),
    "falling": ([500, 500, 200, 40, 30], 30),
}


@pytest.mark.parametrize(("rect", "direction"), DIRECTIONS.values(), ids=DIRECTIONS)
def test_text_runs_along_the_longer_side(rect: list[int], direction: float) -> None:
    """The direction is the one of two that is nearer to upright reading."""
    line = TASK.parse(json.dumps([{"rotate_rect": rect, "text": "Tenant"}])).lines[0]
    assert line.angle_deg == direction
    assert line.quad.angle_deg == pytest.approx(direction, abs=1)


def test_a_single_character_stands_upright() -> None:
    """The longer side of a lone digit says nothing about its direction."""
    line = Line.from_rect("1", [500, 500, 40, 20, 90])
    assert line.angle_deg == 0
    assert line.quad == Quad.of(490, 480, 510, 520)


def test_numbers_beyond_thousandths_are_pixels() -> None:
    """A place that no thousandth can be makes the whole answer one in pixels, with a warning."""
    lines = TASK.parse("740,374,60,1459,90,Wide\n100,100,20,50,90,Small").mapped(page_map(1540, 700))
    assert lines.lines[1].quad == Quad.of(75, 90, 125, 110)
    assert any("read as pixels" in warning for warning in lines.warnings)


def test_a_small_overhang_stays_in_thousandths() -> None:
    """Real places overhang the picture a little; regions are moved onto it, lines keep what was said."""
    lines = TASK.parse("500,500,100,1020,90,Wide").mapped(page_map(2000, 1000))
    assert lines.lines[0].quad == Quad.of(-20, 450, 2020, 550)
    assert lines.regions[0].quad == Quad.of(0, 450, 2000, 550)
    assert not lines.warnings


def test_native_places_are_pixels_whatever_the_frame() -> None:
    """The service has already mapped them to the picture."""
    answer = '{"words_info": [{"location": [400, 450, 600, 450, 600, 550, 400, 550], "text": "RENT"}]}'
    to_page = PageMap(
        frame=CoordinateFrame.THOUSANDTHS, sent=Size(2000, 1000), page=Size(4000, 2000), to_page=Affine.scaling(2, 2)
    )
    assert TASK.parse(answer).mapped(to_page).regions[0].quad == Quad.of(800, 900, 1200, 1100)


def test_a_plain_engine_answers_as_the_service_does() -> None:
    """Whole thousandths with angle 90, the line's length as height, in reading order."""
    layout = Layout(
        picture=Size(2000, 1000),
        size=Size(2000, 1000),
        lines=(
            LayoutLine("Due", Quad.of(200, 480, 600, 520)),
            LayoutLine("RENT", Quad.of(200, 80, 600, 120)),
        ),
    )
    assert TASK.write(TASK.from_layout(layout)) == (
        '```json\n[\n\t{"rotate_rect": [200, 100, 40, 200, 90], "text": "RENT"},\n'
        '\t{"rotate_rect": [200, 500, 40, 200, 90], "text": "Due"}\n]\n```'
    )


def test_a_plain_engine_keeps_the_direction_of_a_turned_page() -> None:
    """Text that stands on its head is said to, which a rectangle alone could not."""
    turned = Affine.rotation(180, about=Point(1000, 500))
    layout = Layout(
        picture=Size(2000, 1000),
        size=Size(2000, 1000),
        lines=(LayoutLine("RENT", Quad.of(200, 80, 600, 120)),),
        to_picture=turned,
    )
    line = TASK.parse(TASK.write(TASK.from_layout(layout))).lines[0]
    assert abs(line.angle_deg) == pytest.approx(180)
    assert line.quad.points[0] == Point(900, 920)


def test_nothing_is_lost_in_a_place_of_any_shape() -> None:
    """A quadrilateral that no rectangle can say, and fractions, come back as they went."""
    lines = Lines(
        (
            Line('a\n"b"', Quad.from_numbers([0.5, 1, 10, 2.25, 11, 9, 1, 8]), 3.5),
            Line.from_rect("c", [10.5, 20.25, 30, 40, 12.5]),
            Line("", Quad.of(-5, 0, 3, 4), in_pixels=True),
        )
    )
    assert TASK.parse(TASK.write(lines)) == lines
