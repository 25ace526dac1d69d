"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_qwen_ocr.exchange import OUTCOMES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    """The text under a heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no section {heading!r}"
    return found[1]


@pytest.mark.parametrize("heading", ["Try it", "Test it"])
def test_the_two_commands_are_one_line_each(heading: str) -> None:
    """Each sets up and runs in one command, and no other block comes first."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section(heading), re.MULTILINE | re.DOTALL)
    assert blocks[0][0] == "sh"
    assert len(blocks[0][1].strip().splitlines()) == 1


def test_the_table_of_tasks_is_up_to_date() -> None:
    """It is made from the code."""
    command = [sys.executable, str(ROOT / ".ci" / "readme_tables.py"), "--check"]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout


def test_every_outcome_is_explained() -> None:
    """No reading has an outcome that the README does not name."""
    assert re.findall(r"^\| `(\w+)` \|", section("How a page went"), re.MULTILINE) == list(OUTCOMES)


@pytest.mark.local
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: re.findall(r"import (\w+)", p)[-1])
def test_each_program_runs(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it stands, from the repository's folder; what it writes goes elsewhere."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec", dont_inherit=True), {"__name__": "__main__"})


def test_links_lead_somewhere() -> None:
    """Files that the README points to exist."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
