"""The README's table of tasks, made from the table in the code.

`python .ci/readme_tables.py` writes it; with `--check` it only says whether it is up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from langchain_qwen_ocr import TASKS

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"(<!-- tasks: [^>]*-->\n).*?(<!-- /tasks -->)", re.DOTALL)


def task_table() -> str:
    """One row a task: its class, its name, what it reads, the type of its results, their forms."""
    rows = [
        f"| `{task.__name__}` | `{name}` | {task.description().splitlines()[0]} | `{task.result_type().__name__}` | "
        f"{', '.join(task.result_type().forms)} |"
        for name, task in TASKS.items()
    ]
    return "\n".join(("| task | name | | `reading.result` | forms |", "|---|---|---|---|---|", *rows)) + "\n"


def with_tables(readme: str) -> str:
    """The README with its tables as they should be."""
    return _BLOCK.sub(lambda block: block[1] + task_table() + block[2], readme)


def main() -> int:
    """Write the tables, or check them."""
    now = README.read_text(encoding="utf-8")
    wanted = with_tables(now)
    if "--check" in sys.argv:
        if now != wanted:
            print("README.md: the table of tasks is out of date; run python .ci/readme_tables.py")
        return int(now != wanted)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
