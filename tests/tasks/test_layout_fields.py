"""Fields from where labels and values stand."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_qwen_ocr.geometry import Affine, Point, Quad, Size
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.layout_fields import find_fields

PAGE = Size(1200, 1600)
LINE_PX = 32
Text = tuple[str, float, float]


def page(*texts: Text, turned_deg: float = 0.0, rulings: tuple[Ruling, ...] = ()) -> Layout:
    """Lines of text at their left and top, as wide as their letters are."""
    turn = Affine.rotation(turned_deg)
    return Layout(
        PAGE,
        PAGE,
        tuple(
            LayoutLine(
                text, Quad.of(x, y, x + sum(28 if ord(c) > 0x2E80 else 14 for c in text), y + LINE_PX).mapped(turn)
            )
            for text, x, y in texts
        ),
        rulings,
    )


def rows(lefts: tuple[float, ...], *texts: tuple[str, ...], top: float = 0, pitch: float = 60) -> list[Text]:
    """Texts in columns; an empty one leaves its place empty."""
    return [
        (text, x, top + pitch * number)
        for number, row in enumerate(texts)
        for x, text in zip(lefts, row, strict=True)
        if text
    ]


TOTALS = rows((40, 640), ("合计", "75.97"), ("优惠", "0.97"), ("实收", "80.00"))
HEADS = rows((40, 340, 640), ("Order number", "Payment terms", "Currency"), ("PO-77", "30 days net", "GBP"), pitch=42)

CASES: dict[str, tuple[Layout, dict[str, Any], dict[str, Any]]] = {
    "after a colon": (
        page(("单号\uff1a2026-0472", 0, 0), ("Date: 3 March 2026", 0, 60)),
        {"单号": "", "Date": ""},
        {"单号": "2026-0472", "Date": "3 March 2026"},
    ),
    "a time has a colon of its own": (
        page(("时间\uff1a18:42", 0, 0), ("Open 9:30", 0, 60)),
        {"时间": "", "Open 9": ""},
        {"时间": "18:42", "Open 9": None},
    ),
    "several labels in one line": (
        page(("日期\uff1a2026-03-18 18:42 收银员\uff1a小禾", 0, 0), ("Number: A-1, Due date: 4 May", 0, 60)),
        {"日期": "", "收银员": "", "Number": "", "Due date": ""},
        {"日期": "2026-03-18 18:42", "收银员": "小禾", "Number": "A-1", "Due date": "4 May"},
    ),
    "beside its label": (
        page(*TOTALS),
        {"合计": "", "优惠": "", "实收": ""},
        {"合计": "75.97", "优惠": "0.97", "实收": "80.00"},
    ),
    "below its label": (
        page(*HEADS),
        {"Order number": "", "Payment terms": "", "Currency": ""},
        {"Order number": "PO-77", "Payment terms": "30 days net", "Currency": "GBP"},
    ),
    "below its label, though its neighbours are not asked for": (
        page(*HEADS),
        {"Order number": ""},
        {"Order number": "PO-77"},
    ),
    "a line that lost its colon": (
        page(
            ("合计75.97", 0, 0), ("支付方式 现金", 0, 60), ("Invoice number LH-26", 0, 120), ("Total due £12", 0, 180)
        ),
        {"合计": "", "支付方式": "", "Invoice number": "", "Total due": ""},
        {"合计": "75.97", "支付方式": "现金", "Invoice number": "LH-26", "Total due": "£12"},
    ),
    "a letter misread": (
        page(("lnvoice numbor: LH-26", 0, 0), ("Custom er no.:", 0, 60), ("C-4", 400, 60)),
        {"Invoice number": "", "customer_no": ""},
        {"Invoice number": "LH-26", "customer_no": "C-4"},
    ),
    "names written as in programs": (
        page(("Invoice Date: 1 May", 0, 0), ("INVOICE NUMBER: 7", 0, 60)),
        {"invoice_date": "", "invoiceNumber": ""},
        {"invoice_date": "1 May", "invoiceNumber": "7"},
    ),
    "names in the hint": (
        page(("Rechnungsnummer: 17", 0, 0), ("总额", 0, 60), ("52.00", 400, 60)),
        {"number": "Rechnungsnummer", "total": "amount, 总额; the number only"},
        {"number": "17", "total": "52.00"},
    ),
    "the whole of a longer label is not a shorter name": (
        page(("Total weight: 12 kg", 0, 0), ("Order date 3 May", 0, 60)),
        {"Total": "", "Order": ""},
        {"Total": None, "Order": None},
    ),
    "labels that differ in a digit are two": (
        page(("Price level 1: 10", 0, 0), ("Price level 2: 20", 0, 60)),
        {"Price level 2": "", "Price level 3": ""},
        {"Price level 2": "20", "Price level 3": None},
    ),
    "absent": (
        page(("青禾巷便利店", 300, 0), *rows((40, 640), ("合计", "7.50"), top=80)),
        {"店名": ""},
        {"店名": None},
    ),
    "a label is nobody's value": (
        page(("Phone:", 0, 0), ("Fax:", 300, 0), ("Mail:", 0, 60), ("post@example.org", 300, 60)),
        {"Phone": "", "Fax": "", "Mail": ""},
        {"Phone": None, "Fax": None, "Mail": "post@example.org"},
    ),
    "another page's words far below are not a value": (
        page(("Remarks", 0, 0), ("Thank you", 0, 200)),
        {"Remarks": ""},
        {"Remarks": None},
    ),
    "a form in two columns": (
        page(*rows((0, 150, 500, 650), ("姓名", "禾一", "性别", "女"), ("电话", "6608", "邮编", "3100"))),
        {"姓名": "", "性别": "", "电话": "", "邮编": ""},
        {"姓名": "禾一", "性别": "女", "电话": "6608", "邮编": "3100"},
    ),
    "objects by the name of the object": (
        page(("销售方名称\uff1a禾记", 0, 0), ("购买方名称\uff1a林记", 0, 60)),
        {"销售方": {"名称": ""}, "购买方": {"名称": ""}},
        {"销售方": {"名称": "禾记"}, "购买方": {"名称": "林记"}},
    ),
    "objects by the heading above": (
        page(("Buyer", 0, 0), ("Name: Lin", 0, 60), ("Seller", 0, 180), ("Name: He", 0, 240)),
        {"Seller": {"Name": ""}, "Buyer": {"Name": ""}},
        {"Seller": {"Name": "He"}, "Buyer": {"Name": "Lin"}},
    ),
    "a value is used once": (
        page(("Number: 7", 0, 0)),
        {"Number": "", "Number of the order": "Number"},
        {"Number": "7", "Number of the order": None},
    ),
    "a list of words": (
        page(("Colours: red, green, blue", 0, 0)),
        {"Colours": [""], "Sizes": [""]},
        {"Colours": ["red", "green", "blue"], "Sizes": None},
    ),
    "nothing on the page": (
        page(),
        {"a": "", "b": {"c": ""}, "d": [{"e": ""}]},
        {"a": None, "b": {"c": None}, "d": None},
    ),
}


@pytest.mark.parametrize(("layout", "template", "expected"), CASES.values(), ids=CASES)
def test_fields_are_found_by_their_labels(layout, template, expected):
    """A value follows its label, or stands right of it or below it."""
    assert find_fields(layout, template) == expected


ITEMS = rows(
    (40, 400, 560, 760),
    ("Item", "Quantity", "Price", "Amount"),
    ("Brass gauge", "2", "184.00", "368.00"),
    ("Rubber foot", "4", "", "50.00"),
    ("Total", "", "", "418.00"),
)


def test_records_are_the_rows_of_a_table():
    """A list's element names the columns; a total below is no record, and can be a field of its own."""
    template = {"items": [{"item": "", "quantity": "", "price": ""}], "total": ""}
    assert find_fields(page(*ITEMS), template) == {
        "items": [
            {"item": "Brass gauge", "quantity": "2", "price": "184.00"},
            {"item": "Rubber foot", "quantity": "4", "price": None},
        ],
        "total": "418.00",
    }


def test_a_column_of_many_values_is_no_single_value():
    """The head of a table with several rows names no field."""
    assert find_fields(page(*ITEMS), {"Price": ""}) == {"Price": None}


def test_a_table_with_other_columns_gives_no_records():
    """A table whose head has none of the names is not guessed to be the list."""
    assert find_fields(page(*ITEMS), {"people": [{"name": "", "age": ""}]}) == {"people": None}


@pytest.mark.parametrize("turned_deg", [-5.0, 2.0, 5.0])
def test_a_slanted_page_does_not_shift_values(turned_deg):
    """On a receipt photographed askew each label keeps its own value."""
    receipt = page(("青禾巷便利店谢谢惠顾", 200, -90), *TOTALS, turned_deg=turned_deg)
    assert find_fields(receipt, {"合计": "", "优惠": "", "实收": ""}) == {
        "合计": "75.97",
        "优惠": "0.97",
        "实收": "80.00",
    }


ALL_PAIRS: dict[str, tuple[Layout, dict[str, Any]]] = {
    "colons, rows of two, labels above values": (
        page(
            ("Brindle Vale Workshop", 40, 0),
            ("Number: A-1", 40, 60),
            ("Date:", 40, 120),
            ("3 May", 340, 120),
            *[(text, x, y + 240) for text, x, y in HEADS],
            ("Total due", 40, 420),
            ("12.00", 640, 420),
        ),
        {
            "Number": "A-1",
            "Date": "3 May",
            "Order number": "PO-77",
            "Payment terms": "30 days net",
            "Currency": "GBP",
            "Total due": "12.00",
        },
    ),
    "the items of a table are no pairs": (page(*ITEMS), {}),
    "a label that comes twice keeps both": (
        page(("备注\uff1a甲", 0, 0), ("备注\uff1a乙", 0, 60)),
        {"备注": ["甲", "乙"]},
    ),
    "running text": (page(("The lift is out of service.", 0, 0), ("Use the stairs.", 0, 60)), {}),
    "an empty page": (page(), {}),
}


@pytest.mark.parametrize(("layout", "expected"), ALL_PAIRS.values(), ids=ALL_PAIRS)
def test_without_a_template_all_pairs_are_found(layout, expected):
    """Every label with its value, in reading order."""
    found = find_fields(layout, None)
    assert found == expected
    assert list(found) == list(expected)


def test_a_drawn_form_keeps_values_in_their_rows():
    """Cells of a form are label and value by turns, whatever is drawn around them."""
    rulings = tuple(Ruling(Point(0, y), Point(800, y)) for y in (0, 60, 120)) + tuple(
        Ruling(Point(x, 0), Point(x, 120)) for x in (0, 200, 400, 600, 800)
    )
    texts = rows((10, 210, 410, 610), ("姓名", "禾一", "性别", "女"), ("电话", "6608", "邮编", "3100"), top=14)
    assert find_fields(page(*texts, rulings=rulings), {"性别": "", "电话": ""}) == {"性别": "女", "电话": "6608"}
