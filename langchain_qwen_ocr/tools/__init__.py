"""Qwen-OCR for agents: one tool for each task, and a toolkit that shares one reader and its handles."""

from __future__ import annotations

from langchain_qwen_ocr.tools.access import Access
from langchain_qwen_ocr.tools.artifact import OCRArtifact
from langchain_qwen_ocr.tools.shelf import Shelf
from langchain_qwen_ocr.tools.tool import QwenOCRTool, QwenOCRToolkit

__all__ = ["Access", "OCRArtifact", "QwenOCRTool", "QwenOCRToolkit", "Shelf"]
