"""Take the fields of an invoice as an instance of a Pydantic class.

python examples/invoice_fields.py
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, Field

from langchain_qwen_ocr import KeyInformationExtraction, QwenOCR

PICTURES = Path(__file__).parent / "pictures"


class Invoice(BaseModel):
    """The fields that are wanted; a description tells the model where to look."""

    number: str = Field(alias="Invoice number", description="The invoice's own number")
    issued: date = Field(alias="Invoice date")
    total: Decimal = Field(alias="Total due")


# The vendor's prompt says that the picture is from a public benchmark. It is not, so that sentence is left out.
task = KeyInformationExtraction(Invoice, benchmark_clause=False)

with QwenOCR.local() as ocr:
    [reading] = ocr.read(PICTURES / "invoice_en.png", task)

assert reading.result is not None
for item in reading.result.items:
    print(f"{item.path}: {item.state}, {item.value}")
print(reading.result.data)
