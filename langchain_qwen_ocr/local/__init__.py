"""A real OCR engine behind the service's wire format, embedded: no key, no network.

`LocalTransport` is an HTTP transport to put below the OpenAI client. Importing this loads nothing heavy; the
engine (the extra `local`) is loaded when the first picture is read.
"""

from langchain_qwen_ocr.local.transport import LocalTransport

__all__ = ["LocalTransport"]
