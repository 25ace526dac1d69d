"""The tasks, one module each, and the table that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from langchain_qwen_ocr.tasks.advanced_recognition import AdvancedRecognition
from langchain_qwen_ocr.tasks.document_parsing import DocumentParsing
from langchain_qwen_ocr.tasks.formula_recognition import FormulaRecognition
from langchain_qwen_ocr.tasks.free_prompt import FreePrompt
from langchain_qwen_ocr.tasks.key_information_extraction import KeyInformationExtraction
from langchain_qwen_ocr.tasks.multilingual_recognition import MultilingualRecognition
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.table_parsing import TableParsing
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition

__all__ = [
    "TASKS",
    "AdvancedRecognition",
    "DocumentParsing",
    "FormulaRecognition",
    "FreePrompt",
    "KeyInformationExtraction",
    "MultilingualRecognition",
    "TableParsing",
    "TextRecognition",
]

TASKS: Mapping[str, type[Task[Result]]] = MappingProxyType(
    {
        task.name: task
        for task in (
            TextRecognition,
            MultilingualRecognition,
            AdvancedRecognition,
            KeyInformationExtraction,
            TableParsing,
            DocumentParsing,
            FormulaRecognition,
            FreePrompt,
        )
    }
)
"""Every task by its name. Tools, command line, local answers and the general tests are made from it."""
