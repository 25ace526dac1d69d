"""How long importing takes, beside what a user imports anyway; each in a fresh interpreter, the best of some.

python -m tests.benchmarks.imports
"""

from __future__ import annotations

import subprocess
import sys

ROUNDS = 7
STATEMENTS = {
    "an empty program": "pass",
    "langchain_qwen_ocr": "import langchain_qwen_ocr",
    "langchain_core.tools": "from langchain_core.tools import BaseTool",
    "and our tools": "from langchain_core.tools import BaseTool; from langchain_qwen_ocr import QwenOCRToolkit",
    "langchain_core.document_loaders": "from langchain_core.document_loaders import BaseLoader",
    "and our loader": (
        "from langchain_core.document_loaders import BaseLoader; from langchain_qwen_ocr import QwenOCRLoader"
    ),
    "openai": "import openai",
}


def seconds(statement: str) -> float:
    """How long a fresh interpreter takes for *statement*, without its own start."""
    program = f"import time\nbegan = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return float(ran.stdout)


def main() -> None:
    """Print the table."""
    best = dict.fromkeys(STATEMENTS, float("inf"))
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            best[name] = min(best[name], seconds(statement))
    base = best["langchain_core.tools"]
    print(f"{'imported':34} {'ms':>6} {'of langchain_core.tools':>24}")
    for name, taken in best.items():
        print(f"{name:34} {1000 * taken:6.0f} {taken / base:24.2f}")


if __name__ == "__main__":
    main()
