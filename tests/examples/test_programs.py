"""The example programs run as they stand, with nothing but the embedded engine."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

PROGRAMS = {
    "read_receipt.py": ["青禾巷便利店", "page 1: ok, read by local"],
    "invoice_fields.py": ["Invoice number: found, LH-2026-0318", "issued=datetime.date(2026, 3, 18)", "1222.20"],
    "table_to_pandas.py": ['colspan="2"', "[8 rows x 6 columns]"],
    "scan_to_documents.py": ["page 3 of 3: ok", "Rental Agreement", "3 pages in"],
    "retrieval.py": ["[scan_three_pages.pdf, page 2, box (", "[invoice_en.png, page 1, box ("],
    "agent.py": ["tool: Untrusted text", "('ok',)", "ai: It is from 青禾巷便利店."],
    "chatbot.py": ["The lift will be out of service", "local {'input_tokens':", "True"],
}
"""Each program and what it must print."""


@pytest.mark.local
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name, capsys, monkeypatch):
    """It needs no key, reaches no network, and prints what it promises."""
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", [name])

    runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    printed = capsys.readouterr().out
    assert [words for words in PROGRAMS[name] if words not in printed] == []


def test_every_program_is_listed():
    """No example is left untried."""
    makers = {"make_pictures.py"}

    assert {path.name for path in EXAMPLES.glob("*.py")} - makers == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_fit_on_a_screen(name):
    """They are to be read at one glance."""
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) <= 80
