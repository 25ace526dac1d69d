"""Files that nobody should be given, through reader, loader and command line: an error each, never a crash."""

from __future__ import annotations

import struct
import zlib
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from langchain_qwen_ocr import QwenOCRLoader
from langchain_qwen_ocr.cli import main
from langchain_qwen_ocr.errors import SourceError
from langchain_qwen_ocr.policies import Budget
from langchain_qwen_ocr.testing import StrictService
from tests.pages.documents import encoded, line_of_text, noisy, pdf, raw_pdf
from tests.readers import picture, reader


def bomb() -> bytes:
    """A picture of some bytes that says it is 100,000 px wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def blank_pages(count: int) -> bytes:
    """A PDF of so many pages, all the same object."""
    return raw_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{'3 0 R ' * count}] /Count {count} >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
    )


ENCRYPTED = raw_pdf(
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
    f"<< /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >>",
    trailer=f"/Encrypt 4 0 R /ID [<{'00' * 16}> <{'00' * 16}>] ",
)

HOSTILE = {
    "empty.png": (b"", r"is empty"),
    "cut.jpg": (encoded(noisy(), "JPEG")[:9_000], r"cut or damaged"),
    "cut.pdf": (pdf(line_of_text("x"))[:60], r"cut or damaged"),
    "bomb.png": (bomb(), r"declares 100000x100000 px.*max_pixels"),
    "locked.pdf": (ENCRYPTED, r"is encrypted\. Pass its password"),
    "letter.png": (b"Dear Sir or Madam, this is no picture.", r"looks like text.*Give JPEG"),
    "long.pdf": (blank_pages(10_000), r'10000 pages.*pages="1-5000"'),
    "dot.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), r"too small to hold text"),
    "strip.png": (encoded(Image.new("RGB", (5000, 20)), "PNG"), r"at most 200 times.*parts"),
}
"""What is in each file, and the words that say what is wrong and what to do."""

CASES = pytest.mark.parametrize("name", HOSTILE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of hostile files between two good ones."""
    for name, (data, _) in HOSTILE.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a good one.png").write_bytes(picture(40))
    (tmp_path / "z good one.png").write_bytes(picture(60))
    return tmp_path


@CASES
def test_the_loader_says_which_file_and_what_to_do(folder: Path, name: str) -> None:
    """One by itself raises; nothing was sent for it."""
    service = StrictService()
    with pytest.raises(SourceError, match=HOSTILE[name][1]) as caught:
        QwenOCRLoader(folder / name, ocr=reader(service)).load()
    assert name in str(caught.value)
    assert service.calls == 0


def test_in_a_folder_each_has_its_error_and_the_others_are_read(folder: Path) -> None:
    """None takes its neighbours down, and none is left out of the report."""
    service = StrictService("text")
    loader = QwenOCRLoader(folder, ocr=reader(service), on_error="skip")
    assert {Path(document.metadata["source"]).name for document in loader.load()} == {
        "a good one.png",
        "z good one.png",
    }
    assert loader.report is not None
    assert loader.report.pages == {"ok": 2, "failed": len(HOSTILE)}
    assert [name for name in sorted(HOSTILE) for line in loader.report.failures if name in line] == sorted(HOSTILE)
    assert (service.calls, service.refusals) == (2, [])


def test_the_reader_gives_readings_in_order(folder: Path) -> None:
    """A failed reading stands in the place of each."""
    paths = sorted(folder.iterdir())
    readings = list(reader(StrictService("text")).read(paths))
    assert [Path(reading.source).name for reading in readings] == [path.name for path in paths]
    failed = {Path(reading.source).name for reading in readings if isinstance(reading.error, SourceError)}
    assert failed == set(HOSTILE)


def test_the_command_line_names_them_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback, with the exit code of a source that cannot be read."""
    names = [str(folder / name) for name in HOSTILE]
    assert main(["read", *names, "--engine", "local"]) == SourceError.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert all(name in err for name in HOSTILE)
    assert "Traceback" not in err


@pytest.mark.parametrize("what", ["folder", "missing", "empty folder"])
def test_what_is_no_file(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder is not read as a picture, a missing path is named, an empty folder is said to be."""
    named = tmp_path / what
    if what != "missing":
        named.mkdir()
    with pytest.raises(SourceError, match=what):
        list(reader(StrictService()).read(named))
    if what != "folder":
        with pytest.raises(SourceError, match=what):
            QwenOCRLoader(named, ocr=reader(StrictService())).load()
    assert main(["read", str(named), "--engine", "local"]) == SourceError.exit_code
    assert what in capsys.readouterr().err


def test_an_estimate_names_what_cannot_be_sent(folder: Path) -> None:
    """It counts the good pages and goes on."""
    expected = reader(StrictService()).estimate(sorted(folder.iterdir()))
    unreadable = {name for name in HOSTILE for line in expected.unreadable if name in line}
    assert expected.pages >= 2
    # A cut JPEG has a whole header, and an estimate does not decode.
    assert set(HOSTILE) - unreadable <= {"cut.jpg"}


def test_an_estimate_of_two_thousand_pages_draws_none(tmp_path: Path) -> None:
    """Pages are measured only: nothing is sent, and the count is exact."""
    path = tmp_path / "long.pdf"
    path.write_bytes(blank_pages(2_000))
    service = StrictService()
    expected = reader(service).estimate(path)
    assert (expected.pages, expected.unreadable, service.calls) == (2_000, (), 0)
    assert expected.image_tokens > 2_000
    assert expected.min_cost is not None
    assert expected.max_cost is not None
    assert expected.min_cost < expected.max_cost


@pytest.mark.parametrize(
    ("budget", "cap"),
    [
        pytest.param(Budget(max_pages=3), "max_pages=3", id="pages"),
        pytest.param(Budget(max_tokens=3 * 330), "max_tokens=990", id="tokens"),
        pytest.param(Budget(max_cost=Decimal("0.0003")), "max_cost=0.0003", id="money"),
    ],
)
def test_a_cap_names_all_that_was_not_read(tmp_path: Path, budget: Budget, cap: str) -> None:
    """Every page of a long document is accounted for: read, or named with the cap that stopped it."""
    path = tmp_path / "long.pdf"
    path.write_bytes(blank_pages(20))
    service = StrictService("text")
    loader = QwenOCRLoader(path, ocr=reader(service, budget=budget, max_concurrency=1))
    loader.load()
    report = loader.report
    assert report is not None
    assert 0 < report.pages["ok"] == service.calls < 20
    assert report.pages["skipped"] == 20 - service.calls == len(report.failures)
    assert all(f"not sent, since {cap} would be passed" in line for line in report.failures)
