"""A chatbot that reads a picture somebody attached, and a follow-up question about it.

python examples/chatbot.py
"""

import base64
from pathlib import Path

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_qwen_ocr import ChatQwenOCR, TextRecognition

PICTURES = Path(__file__).parent / "pictures"

model = ChatQwenOCR.local()  # ChatQwenOCR() asks the service instead
attached = base64.b64encode((PICTURES / "photo_exif6.jpg").read_bytes()).decode("ascii")
conversation: list[BaseMessage] = [
    HumanMessage(
        [
            {"type": "image", "base64": attached, "mime_type": "image/jpeg", "extras": {"max_pixels": 2_000_000}},
            {"type": "text", "text": TextRecognition().prompt()},
        ]
    )
]

answer = model.invoke(conversation)
print(answer.text)
print("---", answer.response_metadata["model_name"], answer.usage_metadata)

# A model without memory still answers about the latest picture of the conversation.
conversation += [answer, HumanMessage(TextRecognition().prompt())]
print(model.invoke(conversation).text == answer.text)
