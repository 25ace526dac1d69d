"""Documents from files, folders and blobs: lazy, in order, honest about every page."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.document_loaders import BaseBlobParser, BaseLoader, BlobLoader
from langchain_core.documents.base import Blob
from PIL import Image

from langchain_qwen_ocr import (
    AdvancedRecognition,
    QwenOCRBlobParser,
    QwenOCRLoader,
    TextRecognition,
)
from langchain_qwen_ocr.conformance import BlobParserTests, DocumentLoaderTests
from langchain_qwen_ocr.errors import (
    AnswerError,
    AuthenticationError,
    OptionError,
    ServiceUnavailableError,
    SourceError,
)
from langchain_qwen_ocr.policies import Budget
from langchain_qwen_ocr.report import Report
from langchain_qwen_ocr.testing import (
    Reply,
    ScriptedTransport,
    SentRequest,
    Step,
    StrictService,
    completion_body,
    error_body,
    looping,
    server_error,
)
from tests.readers import picture, reader, shade_of, tiff

PICTURES = Path(__file__).parents[1] / "examples" / "pictures"


def shades(sent: SentRequest) -> str:
    """An answer that names the picture's shade."""
    return f"shade {shade_of(sent.pictures[0])}"


def failing(*, at: int, with_: Step) -> Any:
    """Answers that name the shade, but for one page."""
    return lambda sent: with_ if shade_of(sent.pictures[0]) == at else shades(sent)


def loader(source: Any, script: Any = shades, **options: Any) -> QwenOCRLoader:
    """A loader over a service with these answers."""
    return QwenOCRLoader(source, ocr=reader(ScriptedTransport(script), asks_again=False), **options)


def parser(script: Any = shades, **options: Any) -> QwenOCRBlobParser:
    """A blob parser likewise."""
    return QwenOCRBlobParser(ocr=reader(ScriptedTransport(script), asks_again=False), **options)


def texts(documents: Any) -> list[str]:
    """What the documents hold."""
    return [document.page_content for document in documents]


class TestLoaderConforms(DocumentLoaderTests):
    """The loader passes the suite it offers to others."""

    expected_documents = 3
    required_metadata = ("source", "page", "total_pages", "ocr_outcome")

    def make_loader(self) -> BaseLoader:
        return loader(PICTURES / "scan_three_pages.pdf", "Hello")


class TestParserConforms(BlobParserTests):
    """The blob parser passes the suite it offers to others."""

    def make_parser(self) -> BaseBlobParser:
        return parser("Hello")

    def picture(self) -> Blob:
        return Blob.from_path(PICTURES / "invoice_en.png")


# --- sources -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in a tree, with what is none among them."""
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "2.png").write_bytes(picture(2))
    (tmp_path / "1.JPG").write_bytes(picture(1))
    (tmp_path / "b" / "3.png").write_bytes(picture(3))
    (tmp_path / ".hidden.png").write_bytes(picture(99))
    (tmp_path / ".git" / "x.png").write_bytes(picture(98))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


class Blobs(BlobLoader):
    """A loader of blobs, as anybody may write one."""

    def yield_blobs(self) -> Iterator[Blob]:
        for shade in (5, 6):
            yield Blob.from_data(picture(shade), metadata={"source": f"mail-{shade}", "author": "Ada"})


def test_a_folder_is_searched_in_order(folder):
    """Pictures and PDFs below it, by name; hidden ones and other files are left out."""
    assert texts(loader(folder).lazy_load()) == ["shade 1", "shade 2", "shade 3"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*.png", ["shade 2"]), ("**/*.png", ["shade 2", "shade 3"]), ("[12].*", ["shade 1", "shade 2"])],
)
def test_globs(folder, pattern, expected):
    """A pattern names files, with ** through sub-folders."""
    assert texts(loader(f"{folder}/{pattern}").lazy_load()) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (picture(7), ["shade 7"]),
        (io.BytesIO(picture(7)), ["shade 7"]),
        (Image.new("L", (64, 48), 7), ["shade 7"]),
        (Blob.from_data(picture(7)), ["shade 7"]),
        (Blobs(), ["shade 5", "shade 6"]),
        ([picture(7), Blobs(), picture(8)], ["shade 7", "shade 5", "shade 6", "shade 8"]),
        ((picture(shade) for shade in (7, 8)), ["shade 7", "shade 8"]),
    ],
    ids=["bytes", "file object", "PIL image", "blob", "blob loader", "list", "generator"],
)
def test_sources(source, expected):
    """Whatever holds pictures can be loaded, alone or in a list."""
    assert texts(loader(source).lazy_load()) == expected


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    """A file that exists is meant, whatever its name."""
    (tmp_path / "scan[1].png").write_bytes(picture(7))

    assert texts(loader(str(tmp_path / "scan[1].png")).lazy_load()) == ["shade 7"]


@pytest.mark.parametrize("named", ["empty", "*.pdf"])
def test_nothing_to_read_is_an_error(tmp_path, named):
    """An empty folder and a pattern without a match do not pass for an empty result."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceError, match="holds no file"):
        loader(str(tmp_path / named)).load()


def test_pages_are_chosen(tmp_path):
    """Only the pages asked for are read; `page` counts from 0."""
    documents = loader(tiff(tmp_path / "scan.tiff", 5), pages="2,4-").load()

    assert [document.metadata["page"] for document in documents] == [1, 3, 4]


def test_metadata_of_blobs_is_carried_along(tmp_path):
    """Each Document has what its own blob knew, also where blobs share a name."""
    blobs = [
        Blob.from_data(tiff(tmp_path / "a.tiff", 2).read_bytes(), metadata={"source": "x", "number": 1}),
        Blob.from_data(picture(3), metadata={"source": "x", "number": 2}),
        Blob.from_data(picture(4), metadata={"source": "y", "number": 3}),
    ]

    documents = loader(blobs).load()

    assert [document.metadata["number"] for document in documents] == [1, 1, 2, 3]
    assert [document.metadata["source"] for document in documents] == ["x", "x", "x", "y"]


# --- forms ---------------------------------------------------------------------------------------------------------


def test_single_mode_joins_the_pages_of_each_source(tmp_path):
    """One Document for each source, its pages in order."""
    sources = [tiff(tmp_path / "a.tiff", 2), picture(7), picture(8)]

    documents = loader(sources, mode="single").load()

    assert texts(documents) == ["shade 40\n\f\nshade 60", "shade 7", "shade 8"]


def test_element_mode():
    """One Document for each line with a place."""
    answer = (
        '[{"rotate_rect": [500, 100, 50, 800, 90], "text": "A"}, {"rotate_rect": [500, 300, 50, 800, 90], "text": "B"}]'
    )

    documents = loader(picture(), answer, task=AdvancedRecognition(), mode="element", layout=True).load()

    assert texts(documents) == ["A", "B"]
    assert all('"quad_px":' in document.metadata["ocr_layout"] for document in documents)


@pytest.mark.parametrize(
    "options",
    [{"mode": "pages"}, {"on_error": "ignore"}, {"tables": "csv"}, {"pages": "x"}, {"task": TextRecognition}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_cannot_work(options):
    """They are refused when the loader is made, with the choices."""
    with pytest.raises(OptionError):
        loader(picture(), **options)


def test_a_reader_that_is_none():
    """What cannot read is refused when the loader is made."""
    with pytest.raises(OptionError, match=r"QwenOCR\.local\(\)"):
        QwenOCRLoader(picture(), ocr=cast("Any", "local"))


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error", "outcome"),
    [
        (server_error(), ServiceUnavailableError, "failed"),
        (looping(), AnswerError, "repeating"),
        (completion_body("half", finish_reason="length"), AnswerError, "truncated"),
    ],
    ids=["failed", "repeating", "truncated"],
)
class TestBadPages:
    """One bad page of three, under each policy."""

    def test_raise(self, tmp_path, reply, error, outcome):
        """The pages before it are given; then its error comes."""
        documents = loader(tiff(tmp_path / "scan.tiff", 3), failing(at=60, with_=reply)).lazy_load()

        assert next(documents).page_content == "shade 40"
        with pytest.raises(error, match="Page 2 of"):
            next(documents)

    def test_record(self, tmp_path, reply, error, outcome):
        """It is a Document that says so; its neighbours keep their numbers."""
        documents = loader(tiff(tmp_path / "scan.tiff", 3), failing(at=60, with_=reply), on_error="record").load()

        assert [document.metadata["ocr_outcome"] for document in documents] == ["ok", outcome, "ok"]
        assert [document.metadata["page"] for document in documents] == [0, 1, 2]
        assert documents[1].metadata["ocr_warnings"]

    def test_skip(self, tmp_path, reply, error, outcome):
        """It is left out, but counted."""
        skipping = loader(tiff(tmp_path / "scan.tiff", 3), failing(at=60, with_=reply), on_error="skip")

        assert [document.metadata["page"] for document in skipping.load()] == [0, 2]
        assert skipping.report is not None
        assert skipping.report.pages == {"ok": 2, outcome: 1}
        [failure] = skipping.report.failures
        assert "Page 2 of" in failure

    async def test_the_same_on_an_event_loop(self, tmp_path, reply, error, outcome):
        """Policies do not depend on how it is loaded."""
        source = tiff(tmp_path / "scan.tiff", 3)
        recording = loader(source, failing(at=60, with_=reply), on_error="record")

        assert [document.metadata["ocr_outcome"] async for document in recording.alazy_load()] == ["ok", outcome, "ok"]
        with pytest.raises(error, match="Page 2 of"):
            await loader(source, failing(at=60, with_=reply)).aload()


@pytest.mark.parametrize("on_error", ["raise", "record", "skip"])
def test_a_blank_page_is_no_error(on_error):
    """Nothing to read is a Document without text, under every policy."""
    [document] = loader(picture(), "", on_error=on_error).load()

    assert (document.page_content, document.metadata["ocr_outcome"]) == ("", "blank")


@pytest.mark.parametrize("on_error", ["raise", "record", "skip"])
def test_a_wrong_key_is_always_raised(on_error):
    """It would meet every page alike."""
    wrong = Reply(401, error_body("invalid_api_key", "Incorrect API key provided."))

    with pytest.raises(AuthenticationError):
        loader(picture(), wrong, on_error=on_error).load()


def test_a_file_that_does_not_open(tmp_path):
    """Among several, it is recorded like a failed page, with its name."""
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"not a PDF")

    documents = loader([picture(7), broken, picture(8)], on_error="record").load()

    assert texts(documents) == ["shade 7", "", "shade 8"]
    assert documents[1].metadata["source"] == str(broken)
    with pytest.raises(SourceError, match=r"broken\.pdf"):
        loader(broken).load()


# --- around it -----------------------------------------------------------------------------------------------------


def test_a_load_is_lazy(tmp_path):
    """Who takes one page of a long scan does not pay for all."""
    transport = ScriptedTransport(shades)
    documents = QwenOCRLoader(tiff(tmp_path / "scan.tiff", 10), ocr=reader(transport, max_concurrency=1)).lazy_load()

    assert transport.calls == 0
    next(documents)
    documents.close()  # type: ignore[attr-defined]

    assert transport.calls <= 5


def test_the_report(tmp_path):
    """After a load: pages by outcome, tokens, cost, time; also for a person to read."""
    reporting = loader(
        tiff(tmp_path / "scan.tiff", 2), completion_body("x", image_tokens=90, text_tokens=10, completion_tokens=5)
    )
    before = reporting.report

    reporting.load()

    assert before is None

    report = reporting.report
    assert report is not None
    assert (report.pages, report.total_pages, report.usage.prompt_tokens) == ({"ok": 2}, 2, 200)
    assert report.cost is not None
    assert report.currency == "CNY"
    assert report.seconds >= 0
    assert str(report).startswith("2 pages in ")
    assert "2 ok" in str(report)


def test_a_load_that_broke_off_is_reported(tmp_path):
    """The report of what was read is there after an error, too."""
    breaking = loader(tiff(tmp_path / "scan.tiff", 2), failing(at=60, with_=server_error()))
    with pytest.raises(ServiceUnavailableError):
        breaking.load()

    assert breaking.report is not None
    assert breaking.report.pages == {"ok": 1, "failed": 1}


def test_pages_that_a_cap_left_out_are_named_in_the_report(tmp_path):
    """They are no failures, but nobody should take the Documents for the whole file."""
    capped = QwenOCRLoader(
        tiff(tmp_path / "scan.tiff", 3),
        ocr=reader(ScriptedTransport("x"), budget=Budget(max_pages=1), max_concurrency=1),
    )
    documents = capped.load()

    assert sorted(document.metadata["ocr_outcome"] for document in documents) == ["ok", "skipped", "skipped"]
    assert capped.report is not None
    assert capped.report.pages == {"ok": 1, "skipped": 2}
    assert len(capped.report.failures) == 2
    assert all("scan.tiff: not sent, since max_pages=1 would be passed" in line for line in capped.report.failures)


def test_a_report_names_runs_of_pages_in_one_line():
    """A cap met early in a long document is told in a line; any other failure has its own."""
    beyond = "not sent, since max_cost=5 would be passed."
    failures = [f"Page {n} of a: b.pdf: {beyond}" for n in (3, 4, 5)]
    failures += ["Page 6 of a: b.pdf: failed.", f"Page 7 of a: b.pdf: {beyond}", f"Page 8 of c.pdf: {beyond}"]
    assert str(Report(failures=tuple(failures))).splitlines()[1:] == [
        f"  Pages 3-5 of a: b.pdf: {beyond}",
        "  Page 6 of a: b.pdf: failed.",
        f"  Page 7 of a: b.pdf: {beyond}",
        f"  Page 8 of c.pdf: {beyond}",
    ]


def test_progress_is_drawn_on_request(tmp_path, capsys):
    """The bar counts pages on stderr; without the option nothing is printed."""
    source = tiff(tmp_path / "scan.tiff", 3)

    loader(source).load()
    quiet = capsys.readouterr()
    loader(source, show_progress=True).load()
    drawn = capsys.readouterr()

    assert (quiet.out, quiet.err, drawn.out) == ("", "", "")
    assert "3/3" in drawn.err


def test_the_configuration_is_honoured(tmp_path):
    """Callbacks of `config` count the calls, also on an event loop."""
    counter = UsageMetadataCallbackHandler()
    answer = completion_body("x", image_tokens=20, text_tokens=10)
    counting = loader(tiff(tmp_path / "scan.tiff", 2), answer, config={"callbacks": [counter]})

    counting.load()
    asyncio.run(counting.aload())

    assert [usage["input_tokens"] for usage in counter.usage_metadata.values()] == [120]


def test_no_key_is_said_when_it_is_needed(monkeypatch):
    """A loader without a reader makes one late, so that making it needs no key."""
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)

    keyless = QwenOCRLoader(picture())

    with pytest.raises(AuthenticationError, match="DASHSCOPE_API_KEY"):
        keyless.load()


# --- the blob parser -----------------------------------------------------------------------------------------------


def npy(array: np.ndarray[Any, Any]) -> Blob:
    """A picture as PDF parsers hand it over."""
    stream = io.BytesIO()
    np.save(stream, array)
    return Blob.from_data(stream.getvalue(), mime_type="application/x-npy")


@pytest.mark.parametrize(
    ("array", "shade"),
    [
        (np.full((48, 64), 70, np.uint8), 70),
        (np.full((48, 64, 1), 70, np.uint8), 70),
        (np.full((48, 64), fill_value=True), 255),
        (np.full((48, 64, 1), fill_value=False), 0),
        (np.full((48, 64, 3), 70, np.uint8), 70),
        (np.broadcast_to(np.array([0, 0, 0, 255], np.uint8), (48, 64, 4)), 0),
        (np.broadcast_to(np.array([0, 0, 0, 0], np.uint8), (48, 64, 4)), 255),
    ],
    ids=["grey", "grey with an axis", "1-bit", "1-bit with an axis", "RGB", "CMYK black", "CMYK white"],
)
def test_arrays(array, shade):
    """Arrays of every kind that hosts send are pictures; four channels are inks."""
    [document] = parser().lazy_parse(npy(np.ascontiguousarray(array)))

    assert document.page_content == f"shade {shade}"


def test_an_array_is_not_unpickled():
    """An array of objects could run code when it is read; it is refused."""
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    blob = Blob.from_data(stream.getvalue(), mime_type="application/x-npy")

    with pytest.raises(SourceError):
        parser().parse(blob)


@pytest.mark.parametrize("size", [(5, 5), (10, 400), (20, 20)])
def test_tiny_pictures_are_not_sent(size):
    """Ornaments give one empty Document with the outcome "skipped"."""
    transport = ScriptedTransport([])
    parsing = QwenOCRBlobParser(ocr=reader(transport))

    [document] = parsing.lazy_parse(Blob.from_data(picture(7, size)))

    assert (document.page_content, document.metadata["ocr_outcome"]) == ("", "skipped")
    assert transport.calls == 0


def test_the_same_picture_is_read_once():
    """A logo on every page costs one call; its later Documents say that they were free."""
    parsing = parser([completion_body("Logo", image_tokens=20, text_tokens=10)])
    blobs = [Blob.from_data(picture(7), metadata={"source": f"page-{n}"}) for n in range(3)]

    documents = [next(parsing.lazy_parse(blob)) for blob in blobs]

    assert texts(documents) == ["Logo"] * 3
    assert [document.metadata["ocr_prompt_tokens"] for document in documents] == [30, 0, 0]
    assert [document.metadata["source"] for document in documents] == ["page-0", "page-1", "page-2"]


def test_a_failed_picture_is_tried_again():
    """What failed is not remembered."""
    parsing = parser([server_error(), "Hello"], on_error="record")
    blob = Blob.from_data(picture(7))

    assert [next(parsing.lazy_parse(blob)).metadata["ocr_outcome"] for _ in range(2)] == ["failed", "ok"]


@pytest.mark.parametrize("on_error", ["record", "skip"])
@pytest.mark.parametrize("data", [picture(7), b"no picture"], ids=["failed call", "broken picture"])
async def test_a_bad_picture_still_gives_one_document(on_error, data):
    """Hosts take the first Document and have no way to hear that there is none."""
    parsing = parser(server_error(), on_error=on_error)

    [document] = parsing.lazy_parse(Blob.from_data(data, metadata={"source": "host"}))
    [again] = [document async for document in parsing.alazy_parse(Blob.from_data(data))]

    assert (document.page_content, document.metadata["ocr_outcome"]) == ("", "failed")
    assert document.metadata["source"] == "host"
    assert again.metadata["ocr_outcome"] == "failed"


def test_a_bad_picture_can_be_raised():
    """The default policy raises, as for the loader."""
    with pytest.raises(ServiceUnavailableError):
        parser(server_error()).parse(Blob.from_data(picture(7)))


async def test_documents_with_pages_are_parsed_too(tmp_path):
    """A TIFF or PDF blob gives a Document for each page."""
    blob = Blob.from_path(tiff(tmp_path / "scan.tiff", 3))

    assert texts(parser().parse(blob)) == ["shade 40", "shade 60", "shade 80"]
    assert texts(await parser().aparse(blob)) == ["shade 40", "shade 60", "shade 80"]


def test_parsing_many_blobs_from_one_parser():
    """Order and content stay apart when parses interleave."""
    parsing = parser()
    parses = [parsing.lazy_parse(Blob.from_data(picture(shade))) for shade in (10, 20, 30)]

    assert [next(parse).page_content for parse in reversed(parses)] == ["shade 30", "shade 20", "shade 10"]


def test_a_strict_service_takes_what_the_loader_sends():
    """Every example picture passes the service's own checks."""
    service = StrictService("Hello")
    loading = QwenOCRLoader(PICTURES, ocr=reader(service), on_error="record")

    outcomes = Counter(document.metadata["ocr_outcome"] for document in loading.load())

    assert service.refusals == []
    assert set(outcomes) == {"ok"}
