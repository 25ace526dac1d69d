"""Read a table with merged cells into a data frame.

python examples/table_to_pandas.py
"""

from pathlib import Path

from langchain_qwen_ocr import QwenOCR, TableParsing

PICTURES = Path(__file__).parent / "pictures"

with QwenOCR.local() as ocr:
    [reading] = ocr.read(PICTURES / "table_merged.png", TableParsing())

assert reading.result is not None
[table] = reading.result.tables
print(table.to_html())  # the truth, with its spans
print(table.to_dataframe())
