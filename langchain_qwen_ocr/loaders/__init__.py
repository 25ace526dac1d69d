"""Documents for retrieval: a loader for files, folders and blobs, and a parser for the blobs of other loaders."""

from __future__ import annotations

from langchain_qwen_ocr.loaders.blob_parser import QwenOCRBlobParser
from langchain_qwen_ocr.loaders.loader import QwenOCRLoader
from langchain_qwen_ocr.report import Report

LoadReport = Report
"""How a load went: what `QwenOCRLoader.report` holds."""

__all__ = ["LoadReport", "QwenOCRBlobParser", "QwenOCRLoader"]
