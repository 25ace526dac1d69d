"""Test suites for document loaders and blob parsers, to be subclassed: LangChain's standard tests have none for these.

A suite needs nothing but pytest's habit of calling methods named `test_…`; asynchronous tests run on a loop of their
own. Give what your class needs, and run it:

```python
class TestMyLoader(DocumentLoaderTests):
    def make_loader(self) -> BaseLoader:
        return MyLoader("tests/two_pages.pdf")

    expected_documents = 2


class TestMyParser(BlobParserTests):
    def make_parser(self) -> BaseBlobParser:
        return MyParser()

    def picture(self) -> Blob:
        return Blob.from_path("tests/receipt.png")
```

A test that does not apply is overridden to skip itself, with the reason.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from langchain_core.document_loaders import BaseBlobParser, BaseLoader
from langchain_core.documents import Document
from langchain_core.documents.base import Blob

FLAT = (str, int, float, bool)
"""What vector stores take as metadata."""


class DocumentLoaderTests(ABC):
    """What whoever uses a document loader may rely on."""

    expected_documents: int | None = None
    """How many Documents the example gives; None when it does not matter."""
    required_metadata: Sequence[str] = ("source",)
    """Keys that each Document has."""

    @abstractmethod
    def make_loader(self) -> BaseLoader:
        """A new loader of an example that gives one Document at least, the same ones each time."""

    def test_gives_documents(self) -> None:
        """`load` gives Documents, as many as expected."""
        documents = self.make_loader().load()
        assert documents, "The example gave no Document."
        assert all(isinstance(document, Document) for document in documents)
        if self.expected_documents is not None:
            assert len(documents) == self.expected_documents

    def test_load_is_not_overridden(self) -> None:
        """`load` is the base class's own, so that it cannot differ from `lazy_load`."""
        assert type(self.make_loader()).load is BaseLoader.load

    def test_lazy_load_is_lazy(self) -> None:
        """`lazy_load` gives an iterator that may be left after its first Document."""
        documents = self.make_loader().lazy_load()
        assert inspect.isgenerator(documents) or hasattr(documents, "__next__")
        assert isinstance(next(iter(documents)), Document)
        close = getattr(documents, "close", None)
        if close is not None:
            close()

    def test_can_be_loaded_again(self) -> None:
        """The same loader gives the same Documents a second time."""
        loader = self.make_loader()
        _assert_same(loader.load(), loader.load())

    def test_two_loads_do_not_disturb_each_other(self) -> None:
        """Two iterators of one loader each give all Documents."""
        loader = self.make_loader()
        first, second = loader.lazy_load(), loader.lazy_load()
        one = next(iter(first))
        others = list(second)
        _assert_same([one, *first], others)

    def test_async_gives_the_same(self) -> None:
        """`alazy_load` and `aload` give what `load` gives, in the same order."""
        expected = self.make_loader().load()
        _assert_same(_run(_listed(self.make_loader().alazy_load())), expected)
        _assert_same(_run(self.make_loader().aload()), expected)

    def test_works_under_two_event_loops(self) -> None:
        """One loader can be used from two event loops, one after the other."""
        loader = self.make_loader()
        _assert_same(_run(loader.aload()), _run(loader.aload()))

    def test_works_in_a_thread(self) -> None:
        """A loader made here can be used by another thread."""
        loader, found = self.make_loader(), list[Document]()
        thread = threading.Thread(target=lambda: found.extend(loader.load()))
        thread.start()
        thread.join()
        _assert_same(found, self.make_loader().load())

    def test_metadata_is_flat(self) -> None:
        """Metadata is strings, numbers and booleans, as vector stores take it, with the required keys."""
        for document in self.make_loader().load():
            _assert_flat(document)
            missing = [key for key in self.required_metadata if key not in document.metadata]
            assert not missing, f"Metadata lacks {missing}."

    def test_ids_are_stable(self) -> None:
        """Ids are the same on the next load and no two Documents share one, as indexing needs it."""
        documents, again = self.make_loader().load(), self.make_loader().load()
        ids = [document.id for document in documents]
        assert None not in ids, "A Document has no id."
        assert len(set(ids)) == len(ids), "Two Documents share an id."
        assert ids == [document.id for document in again]


class BlobParserTests(ABC):
    """What whoever hands blobs to a parser may rely on: hosts that call it as `images_parser` above all."""

    @abstractmethod
    def make_parser(self) -> BaseBlobParser:
        """A new parser."""

    @abstractmethod
    def picture(self) -> Blob:
        """A picture that can be read."""

    def test_a_picture_gives_exactly_one_document(self) -> None:
        """Hosts call `next(parser.lazy_parse(blob))` once for each picture."""
        documents = list(self.make_parser().lazy_parse(self.picture()))
        assert len(documents) == 1
        assert isinstance(documents[0].page_content, str)

    def test_parse_gives_the_same(self) -> None:
        """`parse` gives what `lazy_parse` gives."""
        parser = self.make_parser()
        _assert_same(parser.parse(self.picture()), list(self.make_parser().lazy_parse(self.picture())))

    def test_takes_bytes_without_a_name(self) -> None:
        """A picture that was never a file is read like one that was."""
        blob = self.picture()
        bare = Blob.from_data(blob.as_bytes(), mime_type=blob.mimetype)
        [document] = self.make_parser().lazy_parse(bare)
        [expected] = self.make_parser().lazy_parse(blob)
        assert document.page_content == expected.page_content

    def test_leaves_the_blob_alone(self) -> None:
        """Parsing changes neither the blob's data nor its metadata."""
        blob = self.picture()
        data, metadata = blob.as_bytes(), dict(blob.metadata)
        list(self.make_parser().lazy_parse(blob))
        assert blob.as_bytes() == data
        assert blob.metadata == metadata

    def test_metadata_of_the_blob_is_carried_along(self) -> None:
        """What the blob knows about itself stands in the Document, too."""
        blob = self.picture().model_copy(update={"metadata": {"source": "a-source", "author": "someone"}})
        [document] = self.make_parser().lazy_parse(blob)
        assert document.metadata["source"] == "a-source"
        assert document.metadata["author"] == "someone"

    def test_metadata_is_flat(self) -> None:
        """Metadata is strings, numbers and booleans."""
        for document in self.make_parser().lazy_parse(self.picture()):
            _assert_flat(document)

    def test_an_async_parse_gives_the_same(self) -> None:
        """A parser that offers `alazy_parse` gives the same there."""
        parser = self.make_parser()
        alazy_parse = getattr(parser, "alazy_parse", None)
        if alazy_parse is not None:
            _assert_same(_run(_listed(alazy_parse(self.picture()))), self.make_parser().parse(self.picture()))


def _assert_same(documents: Sequence[Document], expected: Sequence[Document]) -> None:
    assert [d.page_content for d in documents] == [d.page_content for d in expected]
    assert [d.id for d in documents] == [d.id for d in expected]


def _assert_flat(document: Document) -> None:
    nested = {key: type(value).__name__ for key, value in document.metadata.items() if not isinstance(value, FLAT)}
    assert not nested, f"Metadata is nested: {nested}."


def _run(coroutine: Coroutine[Any, Any, list[Document]]) -> list[Document]:
    """The documents, from a loop of their own in a thread of its own: the test may run on a loop already."""
    found: list[Document] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            found.extend(asyncio.run(coroutine))
        except BaseException as failure:  # noqa: BLE001 - raised again where the test sees it
            failures.append(failure)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return found


async def _listed(documents: AsyncIterator[Document]) -> list[Document]:
    return [document async for document in documents]
