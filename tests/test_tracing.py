"""OCR calls are seen by LangChain's callbacks as chat-model runs."""

from __future__ import annotations

import base64
import threading
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_qwen_ocr import QwenOCRLoader
from langchain_qwen_ocr.errors import ServiceUnavailableError
from langchain_qwen_ocr.testing import ScriptedTransport, SentRequest, StrictService, completion_body, server_error
from langchain_qwen_ocr.tracing import traced
from tests.readers import picture, reader, tiff

ANSWER = completion_body("Hello", image_tokens=20, text_tokens=10, completion_tokens=4)


class Recorder(BaseCallbackHandler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.ended: list[Any] = []
        self.failed: list[BaseException] = []

    def on_chat_model_start(self, serialized, messages, **facts):
        self.started.append({"serialized": serialized, "messages": messages, **facts})

    def on_llm_end(self, response, **facts):
        self.ended.append(response)

    def on_llm_error(self, error, **facts):
        self.failed.append(error)


class AsyncRecorder(AsyncCallbackHandler):
    """Counts on the event loop."""

    def __init__(self) -> None:
        self.ended = 0

    async def on_llm_end(self, response, **facts):
        self.ended += 1


def test_a_call_is_a_chat_model_run():
    """Handlers get the prompt, the answer, the model and the tokens."""
    recorder = Recorder()
    ocr = reader(StrictService("Hello"))

    [reading] = traced(ocr, {"callbacks": [recorder], "tags": ["scans"], "metadata": {"case": 7}}).read(picture())

    [start], [end] = recorder.started, recorder.ended
    assert "text content" in start["messages"][0][0].content[-1]["text"]
    assert start["tags"] == ["scans"]
    assert start["metadata"]["case"] == 7
    message = end.generations[0][0].message
    assert message.content == "Hello"
    assert message.response_metadata["model_name"] == "qwen-vl-ocr-latest"
    assert message.usage_metadata["input_tokens"] == reading.usage.prompt_tokens > 0
    assert message.usage_metadata["input_token_details"]["image"] == reading.usage.image_tokens


def test_traces_hold_no_picture_bytes():
    """A short description with the digest stands for the picture."""
    recorder = Recorder()
    data = picture()

    list(traced(reader(StrictService("Hello")), {"callbacks": [recorder]}).read(data))

    seen = repr(recorder.started) + repr(recorder.ended)
    assert base64.b64encode(data).decode()[:40] not in seen
    assert "[picture: image/png, 64x48 px," in seen
    assert "sha256 " in seen
    assert "sk-0f1e2d3c4b5a6978" not in seen


def test_usage_is_counted_from_worker_threads():
    """LangChain's own counter sees every page, though threads read them."""
    counter = UsageMetadataCallbackHandler()
    ocr = reader(ScriptedTransport(ANSWER))

    list(traced(ocr, {"callbacks": [counter]}).read([picture(shade) for shade in (10, 90, 170)]))

    [usage] = counter.usage_metadata.values()
    assert usage["input_tokens"] == 90
    assert usage["output_tokens"] == 12


def test_context_is_taken_when_the_load_is_asked_for(tmp_path):
    """A lazy loader that is consumed later still reports to where it was called."""
    loader = QwenOCRLoader(tiff(tmp_path / "scan.tiff", 2), ocr=reader(ScriptedTransport(ANSWER)))

    with get_usage_metadata_callback() as counter:
        documents = loader.lazy_load()
    assert len(list(documents)) == 2

    [usage] = counter.usage_metadata.values()
    assert usage["input_tokens"] == 60


async def test_async_handlers_are_awaited():
    """On an event loop, asynchronous handlers and counters see the calls too."""
    recorder, counter = AsyncRecorder(), UsageMetadataCallbackHandler()
    ocr = reader(ScriptedTransport(ANSWER))

    view = traced(ocr, {"callbacks": [recorder, counter]})
    assert [reading.text async for reading in view.aread(picture())] == ["Hello"]

    assert recorder.ended == 1
    assert sum(usage["total_tokens"] for usage in counter.usage_metadata.values()) == 34


def test_runs_nest_under_the_callers_run():
    """Inside a chain, an OCR call's parent is the chain's run."""
    recorder = Recorder()
    parents: list[UUID] = []
    ocr = reader(ScriptedTransport(ANSWER))

    def step(data: bytes, config: RunnableConfig) -> str:
        parents.append(config["callbacks"].parent_run_id)  # type: ignore[union-attr, arg-type]
        return next(traced(ocr, config).read(data)).text

    assert RunnableLambda(step).invoke(picture(), {"callbacks": [recorder]}) == "Hello"

    assert recorder.started[0]["parent_run_id"] == parents[0] is not None


def test_errors_are_reported():
    """A call that failed ends its run with the error."""
    recorder = Recorder()

    [reading] = traced(reader(ScriptedTransport(server_error())), {"callbacks": [recorder]}).read(picture())

    assert reading.outcome == "failed"
    [error] = recorder.failed
    assert isinstance(error, ServiceUnavailableError)


def test_answers_from_the_cache_cost_nothing(tmp_path):
    """A page that is read a second time counts no tokens."""
    ocr = reader(ScriptedTransport([ANSWER]), cache=tmp_path / "cache.sqlite")
    first, second = UsageMetadataCallbackHandler(), UsageMetadataCallbackHandler()

    list(traced(ocr, {"callbacks": [first]}).read(picture()))
    list(traced(ocr, {"callbacks": [second]}).read(picture()))

    assert [usage["total_tokens"] for usage in first.usage_metadata.values()] == [34]
    assert sum(usage["total_tokens"] for usage in second.usage_metadata.values()) == 0


@pytest.mark.parametrize("limit", [1, 2])
def test_max_concurrency_of_the_configuration(limit):
    """No more calls are in flight than the configuration's `max_concurrency` says."""
    too_many = threading.Barrier(limit + 1)
    met: list[int] = []

    def answer(sent: SentRequest) -> Any:
        try:
            met.append(too_many.wait(timeout=0.1))
        except threading.BrokenBarrierError:
            too_many.reset()
        return ANSWER

    ocr = reader(ScriptedTransport(answer))

    readings = list(traced(ocr, {"max_concurrency": limit}).read([picture(shade) for shade in range(limit + 1)]))

    assert [reading.outcome for reading in readings] == ["ok"] * (limit + 1)
    assert met == []
