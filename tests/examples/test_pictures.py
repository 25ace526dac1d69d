"""The example pictures are what their README says."""

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageOps
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` \|[^|]+\| (?:(?P<count>\d+) \w+ of )?(?P<width>\d+) × (?P<height>\d+) \|"
    r"[^|]+\| (?P<truths>[^|]+) \|",
    re.MULTILINE,
)
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the README's table."""

    path: Path
    frames: int
    size_px: tuple[int, int]
    truths: tuple[Path, ...]

    @classmethod
    def of(cls, row: re.Match[str]) -> "Listed":
        path = PICTURES / row["name"]
        endings = re.findall(r"`(\.[a-z.]+)`", row["truths"])
        return cls(
            path,
            int(row["count"] or 1),
            (int(row["width"]), int(row["height"])),
            tuple(path.with_suffix(ending) for ending in endings),
        )


LISTED = [Listed.of(row) for row in ROW.finditer((PICTURES / "README.md").read_text(encoding="utf-8"))]
each_picture = pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed.path.name)


def truths(ending: str) -> list[Path]:
    return sorted(path for listed in LISTED for path in listed.truths if path.name.endswith(ending))


def text_beside(path: Path) -> str:
    name = path.name.partition(".")[0]
    return path.with_name(f"{name}.txt").read_text(encoding="utf-8")


def frame_sizes(path: Path) -> list[tuple[int, int]]:
    """In px, of each frame, or of the picture on each page; every pixel is decoded."""
    if path.suffix == ".pdf":
        with pdfium.PdfDocument(path) as document:
            return [next(page.get_objects()).get_px_size() for page in document]
    sizes = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            sizes.append(image.size)
    return sizes


class CellTexts(HTMLParser):
    """The texts of the cells of a table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data)


def test_every_file_is_listed() -> None:
    """The README's table names each picture, and each other file is the truth of one."""
    listed = {path for row in LISTED for path in (row.path, *row.truths)}
    assert {path for path in PICTURES.rglob("*") if path.is_file()} == listed | {PICTURES / "README.md"}


@each_picture
def test_a_picture_opens_at_its_listed_size(listed: Listed) -> None:
    """Pillow or PDFium decodes each frame, and it has the size that the table states."""
    assert frame_sizes(listed.path) == [listed.size_px] * listed.frames


@each_picture
def test_each_frame_has_its_true_text(listed: Listed) -> None:
    """The text beside a picture has one part for each page or frame, and only the blank page has none."""
    parts = text_beside(listed.path).split("\f")
    assert [bool(part.strip()) for part in parts] == [listed.path.name != "blank.png"] * listed.frames


@pytest.mark.parametrize("path", truths(".fields.json"), ids=lambda path: path.name)
def test_true_values_stand_on_the_page(path: Path) -> None:
    """Each value of the fields' truth is on a line of the text."""
    text = text_beside(path)
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert {label: value in text for label, value in fields.items()} == dict.fromkeys(fields, True)


@pytest.mark.parametrize("path", truths(".html"), ids=lambda path: path.name)
def test_true_cells_stand_on_the_page_in_order(path: Path) -> None:
    """The cells of the table's truth, row by row, are a stretch of the text."""
    cells = CellTexts(path.read_text(encoding="utf-8")).texts
    assert " ".join(cells) in " ".join(text_beside(path).split())


def test_formulas_have_one_line_each() -> None:
    """The LaTeX truth has as many lines as the formulas' text."""
    lines = (PICTURES / "formulas.tex").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(text_beside(PICTURES / "formulas.tex").splitlines()) == 6


def test_the_phone_photo_is_stored_sideways() -> None:
    """Its EXIF orientation is 6, and following it makes the picture stand upright."""
    with Image.open(PICTURES / "photo_exif6.jpg") as photo:
        assert photo.getexif()[EXIF_ORIENTATION] == 6
        assert ImageOps.exif_transpose(photo).size == (1200, 1600)


def test_the_turned_letter_has_no_orientation_tag() -> None:
    """Nothing but its pixels says that the letter lies on its side."""
    with Image.open(PICTURES / "letter_turned_90.png") as letter:
        assert letter.mode == "L"
        assert EXIF_ORIENTATION not in letter.getexif()


@pytest.mark.parametrize("page_index", range(3))
def test_a_page_of_the_scan_is_one_picture_and_no_text(page_index: int) -> None:
    """A page of the PDF holds a JPEG that fills it, and nothing else."""
    with pdfium.PdfDocument(PICTURES / "scan_three_pages.pdf") as document:
        page = document[page_index]
        (picture,) = page.get_objects()
        assert picture.type == FPDF_PAGEOBJ_IMAGE
        assert picture.get_filters() == ["DCTDecode"]
        assert picture.get_bounds() == pytest.approx((0, 0, *page.get_size()))
        assert page.get_textpage().count_chars() == 0


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("label_p.png", "P"),
        ("label_1.png", "1"),
        ("label_1.tiff", "1"),
        ("label_l.png", "L"),
        ("label_la.png", "LA"),
        ("label_rgba.png", "RGBA"),
        ("label_i16.png", "I;16"),
        ("label_cmyk.jpg", "CMYK"),
    ],
)
def test_a_label_has_its_colour_mode(name: str, mode: str) -> None:
    """Saving kept each colour mode."""
    with Image.open(PICTURES / "modes" / name) as image:
        assert image.mode == mode


def test_the_pictures_stay_small() -> None:
    """All files together are below 3 MB."""
    assert sum(path.stat().st_size for path in PICTURES.rglob("*") if path.is_file()) < 3_000_000
