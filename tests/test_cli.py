"""`qwen-ocr` as people type it."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from langchain_qwen_ocr import TASKS, Quad, Region
from langchain_qwen_ocr.cli import main
from langchain_qwen_ocr.cli.output import source_name
from langchain_qwen_ocr.draw import regions_to_svg
from langchain_qwen_ocr.errors import AuthenticationError, OptionError, SourceError
from langchain_qwen_ocr.geometry import Size

PICTURES = Path(__file__).parent.parent / "examples" / "pictures"
LABEL = PICTURES / "modes" / "label_p.png"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's key is used, nobody's address asked."""
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    monkeypatch.delenv("DASHSCOPE_BASE_URL", raising=False)


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Standard output and standard error."""
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.local
def test_without_a_key_it_reads_on_this_machine_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The text goes to standard output, where the picture goes to standard error."""
    assert main(["read", str(LABEL)]) == 0
    out, err = said(capsys)
    assert "".join(out.split()) == "".join(LABEL.with_suffix(".txt").read_text(encoding="utf-8").split())
    assert "nothing is sent anywhere" in err


@pytest.mark.local
def test_standard_input_and_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads standard input; --json writes a whole reading a line."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LABEL.read_bytes())))
    assert main(["read", "-", "--json", "--engine", "local"]) == 0
    (line,) = said(capsys)[0].splitlines()
    reading = json.loads(line)
    assert (reading["outcome"], reading["origin"]) == ("ok", "local")


@pytest.mark.local
def test_a_folder_becomes_a_file_for_each_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names keep their endings, so that a.png and a.jpg do not meet; Chinese names work."""
    scans = tmp_path / "扫描 scans"
    scans.mkdir()
    picture = Image.open(LABEL).convert("RGB")
    picture.save(scans / "标签.png")
    picture.save(scans / "标签.jpg", quality=95)
    (scans / "notes.md").write_text("no picture", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["read", str(scans), "--out", str(out), "--format", "md"]) == 0
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        "标签.jpg.md",
        "标签.png.md",
    ]
    assert (out / "标签.png.md").read_text(encoding="utf-8").strip() != ""
    assert "2 pages" in said(capsys)[1]


@pytest.mark.local
def test_resuming_asks_only_for_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an earlier run finished stays; what it read comes from the cache, also when --resume was forgotten."""
    out = tmp_path / "out"
    written = out / "label.png.jsonl"
    label = tmp_path / "label.png"
    label.write_bytes(LABEL.read_bytes())
    for arguments, cached, words in (
        ([], 0, "1 pages in"),
        (["--resume"], 0, "1 sources were finished before"),
        (["--resume", "--pages", "1"], 1, "1 from the cache"),
        ([], 1, "1 from the cache"),
    ):
        assert main(["read", str(label), "--out", str(out), "--format", "jsonl", *arguments]) == 0
        assert json.loads(written.read_text(encoding="utf-8"))["usage"]["cached"] == cached
        assert words in said(capsys)[1]
    written.unlink()
    assert main(["read", str(label), "--out", str(out), "--format", "jsonl", "--resume"]) == 0
    assert json.loads(written.read_text(encoding="utf-8"))["usage"]["cached"] == 1
    capsys.readouterr()


@pytest.mark.local
def test_a_table_as_csv_and_a_drawing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each task has its forms; places can be drawn, on paper and for the web."""
    table = str(PICTURES / "table_borderless.png")
    assert main(["read", table, "--task", "table_parsing", "--format", "csv"]) == 0
    assert said(capsys)[0].count(",") >= 6
    for name in ("boxes.png", "boxes.svg"):
        assert main(["read", table, "--task", "advanced_recognition", "--draw", str(tmp_path / name)]) == 0
    with Image.open(tmp_path / "boxes.png") as drawn, Image.open(table) as original:
        assert drawn.size == original.size
    assert (tmp_path / "boxes.svg").read_text(encoding="utf-8").count("<polygon") > 5
    capsys.readouterr()


@pytest.mark.local
def test_one_broken_file_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of the error, the message names the file, and the rest is read."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is text")
    assert main(["read", str(broken), str(LABEL)]) == SourceError.exit_code
    out, err = said(capsys)
    assert out.strip() != ""
    [first, *_] = [line for line in err.splitlines() if "broken.png" in line]
    assert "neither a picture nor a PDF" in first, "the reason, and no line before it that says less"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        pytest.param(["--engine", "service"], AuthenticationError.exit_code, "--engine local", id="no key"),
        pytest.param(["--format", "csv"], OptionError.exit_code, "choose one of", id="no such form"),
        pytest.param(["--prompt", "Hi"], OptionError.exit_code, "--prompt", id="an option of another task"),
        pytest.param(["--task", "free_prompt"], OptionError.exit_code, "--prompt", id="a missing option"),
        pytest.param(["--resume"], OptionError.exit_code, "--out", id="going on from nowhere"),
        pytest.param(["--pages", "0-2"], OptionError.exit_code, "0", id="pages from 0"),
        pytest.param(["--max-pixels", "3"], OptionError.exit_code, "pixels", id="an impossible budget"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_read(
    arguments: list[str], exit_code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its exit code and with what to do."""
    assert main(["read", str(LABEL), *arguments]) == exit_code
    out, err = said(capsys)
    assert out == ""
    assert words in err


def test_a_schema_may_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is neither JSON nor a file is refused by name."""
    with pytest.raises(SystemExit):
        main(["read", str(LABEL), "--task", "key_information_extraction", "--schema", str(tmp_path / "none.json")])
    assert "neither JSON nor a file" in said(capsys)[1]


@pytest.mark.local
def test_fields_by_a_schema_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields asked for come back, missing ones included."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"单号": "", "税号": ""}', encoding="utf-8")
    arguments = ["--task", "key_information_extraction", "--schema", str(schema), "--format", "json"]
    assert main(["read", str(PICTURES / "receipt_zh.jpg"), *arguments]) == 0
    (reading,) = json.loads(said(capsys)[0])
    assert reading["result"]["values"] == {"单号": "20260318-0472", "税号": None}


def test_an_estimate_sends_nothing_and_needs_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Pages, tokens and the price of what would be sent."""
    assert main(["estimate", str(PICTURES / "scan_three_pages.pdf"), "--json"]) == 0
    estimate = json.loads(said(capsys)[0])
    assert (estimate["pages"], estimate["text_tokens"], estimate["is_exact"]) == (3, 3 * 24, True)
    assert estimate["image_tokens"] == 3 * (39 * 55 + 2)
    assert (estimate["min_cost"], estimate["currency"]) == ("0.0019539", "CNY")


def test_an_estimate_of_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names it, counts the rest, and exits like the reading itself would."""
    assert main(["estimate", str(PICTURES / "receipt_zh.jpg"), str(tmp_path / "nowhere.pdf")]) == SourceError.exit_code
    told = said(capsys)[0]
    assert "1 pages for" in told
    assert "nowhere.pdf" in told


def test_saved_answers_are_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table says what became of each: file, outcome, warnings."""
    (tmp_path / "table_parsing__cut.txt").write_text("```html\n<table><tr><td>1</td></tr><tr><td>2", encoding="utf-8")
    body: dict[str, Any] = {"choices": [{"message": {"content": "Dear Ada"}, "finish_reason": "stop"}]}
    (tmp_path / "text_recognition__letter.json").write_text(json.dumps(body), encoding="utf-8")
    assert main(["interpret", str(tmp_path)]) == 0
    rows = [re.split(r"\s{2,}", line) for line in said(capsys)[0].splitlines()]
    assert [row[:2] for row in rows] == [
        ["table_parsing__cut.txt", "truncated"],
        ["text_recognition__letter.json", "ok"],
    ]


@pytest.mark.parametrize("command", ["tasks", "models"])
def test_listings_are_for_people_and_for_scripts(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same names in both."""
    assert main([command]) == 0
    words = said(capsys)[0]
    assert main([command, "--json"]) == 0
    rows = json.loads(said(capsys)[0])
    assert all(row["name"] in words for row in rows)
    assert command != "tasks" or [row["name"] for row in rows] == list(TASKS)


def test_what_is_said_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file's name may hold commands for a terminal; they are shown, not obeyed."""
    assert main(["read", str(tmp_path / "a\x1b]0;owned\x07\x9b2J.png"), "--engine", "local"]) != 0

    err = said(capsys)[1]
    assert "owned" in err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", err)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://example.com/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://example.com/%2e%2e", "source"),
        ("https://example.com/..%5C..%5Ca.png", "a.png"),
        ("https://example.com/a%00b.png?x=/../../c", "a_b.png"),
        ("https://example.com/" + "x" * 400, "x" * 200),
        ("scans/a\udcff.png", "a_.png"),
        ("con.png", "_con.png"),
    ],
)
def test_names_of_output_files(source: str, name: str) -> None:
    """Whatever a source is called, its file lies in the output folder."""
    assert source_name(source) == name


def test_an_overlay_is_well_formed() -> None:
    """Text of a picture is text in the drawing: no tag, no character that XML does not know."""
    region = Region("</title><script>alert(1)</script>\x00\x1b\ud800\uffff&", Quad.of(1, 2, 30, 40))

    svg = regions_to_svg([region], Size(100, 100))

    titles = [node.text for node in ET.fromstring(svg.encode()).iter() if node.tag.endswith("title")]
    assert titles == ["</title><script>alert(1)</script>    &"]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed, and nothing is asked for."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert said(capsys)[0] == f"qwen-ocr {version('langchain-qwen-ocr')}\n"


@pytest.mark.local
def test_fields_of_several_receipts_are_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The header stands once, each receipt is a row; `txt` is another word for text."""
    receipt = str(PICTURES / "receipt_zh.jpg")
    fields = ["--task", "key_information_extraction", "--schema", '{"单号": "", "合计": ""}']
    assert main(["read", receipt, receipt, *fields, "--format", "csv"]) == 0
    assert said(capsys)[0].splitlines() == ["单号,合计", "20260318-0472,75.97", "20260318-0472,75.97"]
    assert main(["read", receipt, *fields, "--format", "txt"]) == 0
    assert said(capsys)[0].splitlines() == ["单号: 20260318-0472", "合计: 75.97"]
