"""Load a scanned PDF into Documents, and see the report.

python examples/scan_to_documents.py
"""

from pathlib import Path

from langchain_qwen_ocr import QwenOCR, QwenOCRLoader

PICTURES = Path(__file__).parent / "pictures"

loader = QwenOCRLoader(
    PICTURES / "scan_three_pages.pdf",  # a folder, a glob, an address or Blobs do as well
    ocr=QwenOCR.local(),
    on_error="record",  # a page that cannot be read becomes a Document that says so
)
for document in loader.lazy_load():
    facts = document.metadata
    print(f"page {facts['page'] + 1} of {facts['total_pages']}: {facts['ocr_outcome']}, id {document.id}")
    print("   ", document.page_content.splitlines()[0])
print(loader.report)
