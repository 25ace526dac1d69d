"""The local engine as a server: an OpenAI-compatible endpoint for any client on this machine.

It takes pictures as data URLs only and opens no address itself. Bound to loopback, it answers only requests that
name a loopback host, so that a web page cannot reach it by a name of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.local.chat_request import WireError
from langchain_qwen_ocr.local.service import HTTPAnswer, LocalService, error_answer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8765
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Six pictures of the greatest length that a data URL may have."""

_INSTALL = 'pip install "langchain-qwen-ocr[local,server]"'


def create_app(*, allowed_hosts: Sequence[str] = LOOPBACK_HOSTS, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """The server as an ASGI application.

    Args:
        allowed_hosts: The names by which it may be called; ("*",) for any.
        max_body_bytes: Longer requests are refused.

    Raises:
        OptionError: The extras `local` and `server` are not both installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError as error:
        raise OptionError(f"The server needs {error.name}: {_INSTALL}") from error
    service = LocalService()

    async def answer(request: Request) -> Response:
        try:
            _check_host(request, allowed_hosts)
            body = await _limited_body(request, max_body_bytes)
        except WireError as error:
            return _response(error_answer(error))
        return _response(await asyncio.to_thread(service.answer, request.method, request.url.path, body))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def serve(*, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> None:
    """Answer requests until interrupted.

    Args:
        host: The address to listen at. It asks for no key: any other than loopback opens it to the network.
        port: 0 for any free one.

    Raises:
        OptionError: The extras `local` and `server` are not both installed.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise OptionError(f"The server needs {error.name}: {_INSTALL}") from error
    app = create_app(allowed_hosts=LOOPBACK_HOSTS if host in LOOPBACK_HOSTS else ("*",))
    uvicorn.run(app, host=host, port=port, access_log=False, server_header=False)


def _check_host(request: Request, allowed_hosts: Sequence[str]) -> None:
    """Refuse a request for another name, or of a page from elsewhere: a browser sends what any page asks it to."""
    if "*" in allowed_hosts:
        return
    called = request.headers.get("host", "")
    if _hostname(f"//{called}") not in allowed_hosts:
        raise WireError(f"This server is not called {called!r}.", status=421, code="misdirected_request")
    origin = request.headers.get("origin")
    if origin is not None and _hostname(origin) not in allowed_hosts:
        raise WireError("Pages of other sites are not answered.", status=403, code="access_denied")


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


async def _limited_body(request: Request, limit: int) -> bytes:
    if request.method == "POST" and not request.headers.get("content-type", "").startswith("application/json"):
        # A web page can send other types to this machine without being asked for leave.
        raise WireError("The content type must be application/json.", status=415, code="unsupported_media_type")
    too_large = WireError(f"Payload Too Large: at most {limit} bytes.", status=413, code="BadRequest.TooLarge")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    chunks, length = [], 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _response(answer: HTTPAnswer) -> Response:
    from starlette.responses import Response

    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers))
