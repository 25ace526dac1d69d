"""The server is the same engine behind an HTTP address that only this machine can call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from langchain_qwen_ocr.local.server import create_app
from tests.local.conftest import chat, picture

pytestmark = pytest.mark.local

LABEL = picture("modes/label_l.png")


@pytest.fixture(scope="module")
def app():
    return create_app(max_body_bytes=100_000)


def _client(app: Starlette, base_url: str = "http://127.0.0.1:8765/v1") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=base_url)


async def test_answers_as_the_transport_does(app):
    """A client over HTTP gets the service's own format."""
    async with _client(app) as client:
        response = await client.post("/chat/completions", json=chat(LABEL))
        assert response.json()["choices"][0]["message"]["content"].startswith("HANDLE WITH CARE\n")
        assert (await client.get("/models")).json()["object"] == "list"


@pytest.mark.parametrize("base_url", ["http://localhost:9/v1", "http://[::1]:9/compatible-mode/v1"])
async def test_goes_by_the_names_of_this_machine(app, base_url):
    """Any loopback name and any base path will do."""
    async with _client(app, base_url) as client:
        assert (await client.get("/models")).status_code == 200


async def test_a_web_page_cannot_reach_it_by_another_name(app):
    """A name that an outsider points to this machine is refused."""
    async with _client(app, "http://rebound.example/v1") as client:
        response = await client.get("/models")
    assert (response.status_code, response.json()["error"]["code"]) == (421, "misdirected_request")


@pytest.mark.parametrize("host", ["rebound.example:8765", "127.0.0.1:8765@rebound.example", "[::1", ""])
async def test_odd_names_are_not_this_machine(app, host):
    """What cannot be taken for a loopback name is none."""
    async with _client(app) as client:
        response = await client.get("/models", headers={"host": host})
    assert response.status_code == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://localhost:3000", 200), ("http://[::1]:3000", 200)],
)
async def test_pages_of_other_sites_are_not_answered(app, origin, status):
    """A browser says which page asks; only those of this machine are answered."""
    async with _client(app) as client:
        response = await client.get("/models", headers={"origin": origin})
    assert response.status_code == status


async def test_only_json_is_taken(app):
    """What a web form could send across sites is refused."""
    async with _client(app) as client:
        response = await client.post("/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "streamed"])
async def test_bodies_are_limited(app, declared):
    """A request that is too long is refused, whether it says its length or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b" " * 10_000

    content = b" " * 120_000 if declared else pieces()
    async with _client(app) as client:
        headers = {"content-type": "application/json"}
        response = await client.post("/chat/completions", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "BadRequest.TooLarge")


async def test_errors_are_in_the_services_form(app):
    """A bad request over HTTP is answered as in the process."""
    async with _client(app) as client:
        response = await client.post("/chat/completions", json={"model": "qwen-vl-ocr-latest"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_parameter_error"
    assert response.json()["request_id"] == response.headers["x-request-id"]
