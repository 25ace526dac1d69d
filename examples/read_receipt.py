"""Read a receipt and see how it went.

python examples/read_receipt.py
"""

from pathlib import Path

from langchain_qwen_ocr import QwenOCR

PICTURES = Path(__file__).parent / "pictures"

with QwenOCR.local() as ocr:  # QwenOCR() reads with the service instead; it needs DASHSCOPE_API_KEY
    for reading in ocr.read(PICTURES / "receipt_zh.jpg"):
        print(reading.text)
        print(f"--- page {reading.page_number}: {reading.outcome}, read by {reading.origin}")
        for warning in reading.warnings:
            print("   ", warning)
