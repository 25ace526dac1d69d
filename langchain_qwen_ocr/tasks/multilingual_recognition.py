"""Running text in languages beside Chinese and English: the service's `multi_lan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_qwen_ocr.tasks.text_recognition import TextRecognition


@dataclass(frozen=True, kw_only=True)
class MultilingualRecognition(TextRecognition):
    """Read all text of a picture in any of many languages as plain lines.

    The choice for Arabic, French, German, Italian, Japanese, Korean, Portuguese, Russian, Spanish, Ukrainian or
    Vietnamese text, alone or mixed. Gives no places and no structure. The vendor's prompt, and so the answer, is the
    same as for `text_recognition`.
    """

    name: ClassVar[str] = "multi_lan"
