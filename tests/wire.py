"""A picture, a request and an endpoint for tests of what goes over the wire."""

import io
from typing import Any

import httpx2
from PIL import Image
from pydantic import SecretStr

from langchain_qwen_ocr.endpoints.openai_chat import OpenAIChatEndpoint
from langchain_qwen_ocr.exchange import OCRRequest, build_request
from langchain_qwen_ocr.geometry import Size
from langchain_qwen_ocr.pages.page import PageInfo, PreparedImage
from langchain_qwen_ocr.tasks.results import Text
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition

KEY = "sk-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SIZE = Size(640, 320)


def picture(width: int = SIZE.width_px, height: int = SIZE.height_px, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A blank picture as a file."""
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind)
    return file.getvalue()


_PICTURE = picture()


def request(
    data: bytes = _PICTURE,
    *,
    mime_type: str = "image/png",
    source: str = "scan.pdf",
    model: str = "qwen-vl-ocr-latest",
    **options: Any,
) -> OCRRequest[Text]:
    """A request for the text of page 3 of a file."""
    page = PageInfo(source=source, page_index=2, size_px=SIZE)
    image = PreparedImage(data=data, mime_type=mime_type, size_px=SIZE, page=page)
    return build_request(TextRecognition(), [image], model=model, **options)


def endpoint(transport: Any, *, api_key: str | SecretStr = KEY, **options: Any) -> OpenAIChatEndpoint:
    """An endpoint whose connections are a double's."""
    return OpenAIChatEndpoint(
        api_key=api_key,
        http_client=httpx2.Client(transport=transport),
        http_async_client=httpx2.AsyncClient(transport=transport),
        **options,
    )
