"""Qwen-OCR as a chat model."""

from __future__ import annotations

from langchain_qwen_ocr.chat_models.model import ChatQwenOCR

__all__ = ["ChatQwenOCR"]
