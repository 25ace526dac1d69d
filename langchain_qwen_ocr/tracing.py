"""OCR calls as LangChain's callbacks see them: chat-model runs, nested under the caller's run.

Handlers get the prompt, a short description of each picture (type, size, digest) instead of its bytes, the
answer, and the tokens, so that `UsageMetadataCallbackHandler`, tracers and LangSmith count OCR like any model.
"""

from __future__ import annotations

from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_qwen_ocr.endpoints.endpoint import Endpoint
from langchain_qwen_ocr.engine import QwenOCR
from langchain_qwen_ocr.exchange import Completion, OCRRequest
from langchain_qwen_ocr.pages.page import PreparedImage
from langchain_qwen_ocr.policies import LimitedEndpoint, Wrapper
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.usage import Usage

RUN_NAME = "QwenOCR"
"""What the runs are called unless the configuration names them."""

_SERIALIZED = {"lc": 1, "type": "not_implemented", "id": ["langchain_qwen_ocr", "QwenOCR"], "name": RUN_NAME}
_LOCAL_METADATA = {"ls_provider": "qwen-ocr", "ls_model_type": "chat"}


def traced(ocr: QwenOCR, config: RunnableConfig | None = None) -> QwenOCR:
    """A view of *ocr* whose calls are seen by the callbacks of *config* and of the present context.

    `max_concurrency` of the configuration narrows how many calls are in flight at a time.
    """
    merged = ensure_config(config)
    limit = merged.get("max_concurrency")

    def wrap(endpoint: Endpoint) -> Endpoint:
        # The limit stands around the trace, so that a run begins when its turn has come.
        watched = TracedEndpoint(endpoint, merged)
        return watched if limit is None else LimitedEndpoint(watched, max_concurrency=limit)

    return ocr.with_endpoint(wrap, max_concurrency=limit)


class TracedEndpoint(Wrapper):
    """An endpoint each of whose calls is a chat-model run.

    The configuration is taken once, here, by whoever makes the call: worker threads and lazily consumed
    generators no longer see the caller's context variables.

    Args:
        endpoint: What answers.
        config: Callbacks, tags, metadata and run name; None for those of the present context.
    """

    def __init__(self, endpoint: Endpoint, config: RunnableConfig | None = None) -> None:
        super().__init__(endpoint)
        merged = ensure_config(config)
        self._run_name = merged.get("run_name") or RUN_NAME
        arguments: dict[str, Any] = {
            "inheritable_callbacks": merged.get("callbacks"),
            "inheritable_tags": merged.get("tags"),
            "inheritable_metadata": merged.get("metadata"),
            "local_metadata": _LOCAL_METADATA,
        }
        self._callbacks = CallbackManager.configure(**arguments)
        self._async_callbacks = AsyncCallbackManager.configure(**arguments)

    def complete(self, request: OCRRequest[Result]) -> Completion:
        """The answer of the endpoint, reported to the callbacks."""
        if not self._callbacks.handlers:
            return self._endpoint.complete(request)
        manager = self._callbacks.copy()
        manager.add_metadata({"ls_model_name": request.model}, inherit=False)
        [run] = manager.on_chat_model_start(_SERIALIZED, [_messages(request)], **self._start(request))
        try:
            completion = self._endpoint.complete(request)
        except BaseException as error:
            run.on_llm_error(error, response=LLMResult(generations=[]))
            raise
        run.on_llm_end(_llm_result(completion, request))
        return completion

    async def acomplete(self, request: OCRRequest[Result]) -> Completion:
        """The same without blocking the running event loop."""
        if not self._async_callbacks.handlers:
            return await self._endpoint.acomplete(request)
        manager = self._async_callbacks.copy()
        manager.add_metadata({"ls_model_name": request.model}, inherit=False)
        [run] = await manager.on_chat_model_start(_SERIALIZED, [_messages(request)], **self._start(request))
        try:
            completion = await self._endpoint.acomplete(request)
        except BaseException as error:
            await run.on_llm_error(error, response=LLMResult(generations=[]))
            raise
        await run.on_llm_end(_llm_result(completion, request))
        return completion

    def _start(self, request: OCRRequest[Result]) -> dict[str, Any]:
        parameters = {
            "_type": "qwen-ocr",
            "model": request.model,
            "model_name": request.model,
            "task": request.task.name,
            "min_pixels": request.budget.min_pixels,
            "max_pixels": request.budget.max_pixels,
            "max_tokens": request.max_tokens,
        }
        return {"name": self._run_name, "invocation_params": parameters, "options": {}, "batch_size": 1}


def describe_picture(
    mime_type: str, size_px: tuple[int, int] | None, byte_count: int, digest: str, *, page: str | None = None
) -> str:
    """What traces hold in place of a picture's bytes."""
    size = f"{size_px[0]}x{size_px[1]} px" if size_px is not None else None
    facts = (mime_type, size, f"{byte_count} bytes", f"sha256 {digest[:16]}", page)
    return f"[picture: {', '.join(fact for fact in facts if fact)}]"


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Tokens as LangChain counts them; none for an answer from the cache."""
    paid = Usage() if usage.cached and not usage.calls else usage
    details = {
        name: tokens
        for name, tokens in (("image", paid.image_tokens), ("text", paid.text_tokens))
        if tokens is not None
    }
    return UsageMetadata(
        input_tokens=paid.prompt_tokens,
        output_tokens=paid.completion_tokens,
        total_tokens=paid.total_tokens,
        input_token_details=cast("InputTokenDetails", details),
    )


def _messages(request: OCRRequest[Result]) -> list[Any]:
    blocks: list[str | dict[str, Any]] = [
        *({"type": "text", "text": _describe(image)} for image in request.images),
        {"type": "text", "text": request.task.prompt()},
    ]
    return [HumanMessage(content=blocks)]


def _describe(image: PreparedImage) -> str:
    return describe_picture(image.mime_type, image.size_px, len(image.data), image.digest, page=str(image.page))


def ai_message(completion: Completion, model: str) -> AIMessage:
    """A completion as LangChain knows answers of models: with tokens, model, cost, warnings and how it ended.

    Args:
        completion: The answer.
        model: The model that was asked, where the answer names none.
    """
    facts: dict[str, Any] = {
        "model_name": completion.model or model,
        "model_provider": "qwen-ocr",
        "finish_reason": completion.finish_reason,
        "id": completion.request_id,
        "origin": completion.origin,
        "attempts": completion.attempts,
        "cached": bool(completion.usage.cached),
        "cost": None if completion.usage.cost is None else float(completion.usage.cost),
        "currency": completion.usage.currency,
        "refusal": completion.refusal,
        "warnings": list(completion.warnings) or None,
    }
    return AIMessage(
        content=completion.answer,
        usage_metadata=usage_metadata(completion.usage),
        response_metadata={key: value for key, value in facts.items() if value is not None},
    )


def _llm_result(completion: Completion, request: OCRRequest[Result]) -> LLMResult:
    message = ai_message(completion, request.model)
    generation = ChatGeneration(message=message, generation_info={"finish_reason": completion.finish_reason})
    tokens = usage_metadata(completion.usage)
    llm_output = {"model_name": completion.model or request.model, "token_usage": dict(tokens)}
    return LLMResult(generations=[[generation]], llm_output=llm_output)
