"""The local engine as an HTTP transport: what a client sends is answered in the same process."""

from __future__ import annotations

import asyncio

import httpx2

from langchain_qwen_ocr.local.service import HTTPAnswer, LocalService


class LocalTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Put it below an OpenAI client, and the client reads pictures without key and network.

    Whatever host the client calls, nothing leaves the process. Pages are read one at a time; the same picture asked
    for several tasks is looked at once. Time limits of the client do not apply.

    Raises:
        OptionError: The extra `local` is not installed.

    >>> import openai
    >>> client = openai.OpenAI(
    ...     api_key="none", base_url="http://local/v1", http_client=httpx2.Client(transport=LocalTransport())
    ... )
    >>> client.models.list().data[0].id
    'qwen3.5-ocr'
    """

    def __init__(self) -> None:
        self._service = LocalService()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The engine's answer."""
        body = request.read()
        return _response(self._service.answer(request.method, request.url.path, body), request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The engine's answer, without blocking the running event loop."""
        body = await request.aread()
        answer = await asyncio.to_thread(self._service.answer, request.method, request.url.path, body)
        return _response(answer, request)


def _response(answer: HTTPAnswer, request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)
