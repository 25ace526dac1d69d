"""`python -m langchain_qwen_ocr.cli`, where the script is not on the path."""

import sys

from langchain_qwen_ocr.cli import main

sys.exit(main())
