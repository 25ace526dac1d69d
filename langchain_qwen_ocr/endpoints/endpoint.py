"""What an endpoint is: a request in, a completion out, sync and async."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langchain_qwen_ocr.exchange import Completion, OCRRequest
from langchain_qwen_ocr.tasks.results import Result


@runtime_checkable
class Endpoint(Protocol):
    """Anything that answers requests: the service, a wrapper round another endpoint, a scripted double."""

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer to one request.

        Raises:
            EndpointError: No answer came.
        """
        ...

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        ...
