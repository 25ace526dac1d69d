"""Answer a question from scans, with the page and the place where it stands; SQLite is the index.

python examples/retrieval.py
"""

import json
import sqlite3
import tempfile
from pathlib import Path

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langchain_qwen_ocr import AdvancedRecognition, QwenOCR, QwenOCRLoader

PICTURES = Path(__file__).parent / "pictures"


class FullTextRetriever(BaseRetriever):
    """Finds passages by their words, in a table that SQLite keeps."""

    path: str
    k: int = 2

    def add(self, documents: list[Document]) -> None:
        """Put passages into the index."""
        with sqlite3.connect(self.path) as index:
            index.execute("CREATE VIRTUAL TABLE IF NOT EXISTS passages USING fts5(text, id UNINDEXED, facts UNINDEXED)")
            rows = [(each.page_content, each.id, json.dumps(each.metadata)) for each in documents]
            index.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager  # nothing is reported in between
        words = " OR ".join(f'"{word}"' for word in query.replace("?", "").replace('"', "").split() if len(word) > 3)
        with sqlite3.connect(self.path) as index:
            found = index.execute("SELECT * FROM passages WHERE text MATCH ? ORDER BY rank LIMIT ?", (words, self.k))
            return [Document(text, id=id_, metadata=json.loads(facts)) for text, id_, facts in found]


def cite(passage: Document, word: str) -> str:
    """The line that holds the word, with its page and its box in pixels."""
    for region in json.loads(passage.metadata["ocr_layout"])["regions"]:
        if word in region["text"] and region["text"] in passage.page_content:
            (left, top), _, (right, bottom), _ = region["quad_px"]
            box = f"({left:.0f}, {top:.0f})-({right:.0f}, {bottom:.0f})"
            source = Path(passage.metadata["source"]).name
            return f"“{region['text']}” [{source}, page {passage.metadata['page'] + 1}, box {box} px]"
    return passage.page_content


QUESTIONS = (("What deposit does the club pay?", "deposit of"), ("What is charged for calibration?", "Calibration"))


def main(path: str) -> None:
    loader = QwenOCRLoader(
        [PICTURES / "invoice_en.png", PICTURES / "scan_three_pages.pdf"],
        task=AdvancedRecognition(),
        ocr=QwenOCR.local(),
        layout=True,
    )
    # Splitting keeps the metadata, so every passage knows its page and the places of its lines.
    splitter = RecursiveCharacterTextSplitter(chunk_size=300, chunk_overlap=60, add_start_index=True)
    retriever = FullTextRetriever(path=path)
    retriever.add(splitter.split_documents(loader.load()))
    for question, word in QUESTIONS:
        best = retriever.invoke(question)[0]
        print(f"{question}\n    {cite(best, word)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(f"{folder}/index.sqlite")
