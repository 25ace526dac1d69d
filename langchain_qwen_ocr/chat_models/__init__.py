"""The chat model: Qwen-OCR for people who think in messages."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.utils import secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from langchain_qwen_ocr.chat_models.pictures import sealed
from langchain_qwen_ocr.chat_models.turns import TurnWriter
from langchain_qwen_ocr.endpoints.openai_chat import OpenAIChatEndpoint, checked_address, completion_from
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    ContentRefusedError,
    EndpointError,
    OptionError,
    QwenOCRError,
)
from langchain_qwen_ocr.models import ModelProfile as OCRModelProfile
from langchain_qwen_ocr.models import find_model, find_region
from langchain_qwen_ocr.tracing import ai_message, usage_metadata
from langchain_qwen_ocr.usage import text_tokens

if TYPE_CHECKING:
    import httpx2
    import openai

_WHAT = "The conversation"
"""How errors call what was sent."""
_SENT_PARAMETERS = ("temperature", "top_p", "seed", "presence_penalty", "max_tokens", "stop")
_EXTRA_PARAMETERS = ("top_k", "repetition_penalty")
"""Parameters of the service that the `openai` package does not know."""
_CALL_PARAMETERS = frozenset(
    {"model", "min_pixels", "max_pixels", "stream_usage", *_SENT_PARAMETERS, *_EXTRA_PARAMETERS}
)
"""What may be given with a single call, or bound."""


class _NoToolsError(OptionError, NotImplementedError):
    """What LangChain's own models without tools raise, and an error of this package."""


class ChatQwenOCR(BaseChatModel):
    """Qwen-OCR as a chat model: user messages with pictures in, text out.

    Pictures come as image blocks in LangChain's or OpenAI's form, `min_pixels` and `max_pixels` beside them or in
    `extras`; PDFs as file blocks, page by page. Handlers, traces and cache keys see a digest in place of the bytes.
    Arguments that are not listed are refused. Pickles hold no key; where they are loaded it comes from
    `DASHSCOPE_API_KEY`.

    Args:
        model: The model's id; None for the region's best stable one.
        api_key: Falls back to `DASHSCOPE_API_KEY`.
        base_url: Falls back to `DASHSCOPE_BASE_URL`, then to the region's address.
        region: "beijing", "singapore" or "virginia".
        temperature: None for the service's own (0.01), which is meant for reading; so for those that follow.
        top_p: 0 to 1.
        top_k: 0 or more.
        seed: For answers that can be repeated.
        repetition_penalty: Over 0; has a strong effect.
        presence_penalty: -2 to 2.
        max_tokens: The longest answer; None for the model's own limit.
        stop: Where to stop.
        timeout: The longest wait for one answer, in seconds.
        max_retries: How often a call that may succeed later is repeated.
        min_pixels: The least area a picture is seen at, in px²; of pictures that do not say it themselves.
        max_pixels: The largest, likewise.
        streaming: Whether `invoke` streams behind the scenes.
        stream_usage: Whether the last chunk of a stream holds the tokens.
        http_client: An `httpx2.Client` to call with; it stays the caller's to close.
        http_async_client: An `httpx2.AsyncClient` likewise.

    Raises:
        AuthenticationError: At the first call: there is no key.
        ValidationError: An argument is unknown or cannot work.
    """

    # What was given is not shown in errors: the key is among it.
    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    model: str = ""
    api_key: SecretStr | None = Field(default_factory=secret_from_env("DASHSCOPE_API_KEY", default=None))
    base_url: str | None = None
    region: str = "beijing"
    temperature: float | None = Field(default=None, ge=0, lt=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    repetition_penalty: float | None = Field(default=None, gt=0)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: list[str] | str | None = None
    timeout: float = Field(default=300.0, gt=0)
    max_retries: int = Field(default=4, ge=0)
    min_pixels: int | None = Field(default=None, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)
    streaming: bool = False
    stream_usage: bool = True
    http_client: Any = Field(default=None, exclude=True, repr=False)
    http_async_client: Any = Field(default=None, exclude=True, repr=False)

    _endpoint: OpenAIChatEndpoint | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The region's own model where none is named, so that the instance says what it uses."""
        filled = dict(values)
        if filled.get("base_url"):
            checked_address(filled["base_url"])
        region = find_region(filled.get("region", "beijing"))
        filled["model"] = filled.get("model") or region.default_model
        return filled

    @classmethod
    def local(cls, **options: Any) -> Self:
        """Answers with the embedded OCR engine: no key, no network, nothing leaves the machine.

        Needs `pip install "langchain-qwen-ocr[local]"`.
        """
        import httpx2

        from langchain_qwen_ocr.local import LocalTransport

        transport = LocalTransport()
        settings: dict[str, Any] = {
            "model": "local",
            "max_retries": 0,
            "disable_streaming": True,
            **options,
            "api_key": SecretStr("local"),
            "base_url": "http://local/v1",
            "http_client": httpx2.Client(transport=transport),
            "http_async_client": httpx2.AsyncClient(transport=transport),
        }
        return cls(**settings)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Yes; the key is left out."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The key, by the environment variable that holds it."""
        return {"api_key": "DASHSCOPE_API_KEY"}

    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled: no key and no connections. The copy takes its key from `DASHSCOPE_API_KEY`."""
        state = super().__getstate__()
        return {
            **state,
            "__dict__": {**state["__dict__"], "api_key": None},
            "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_endpoint": None},
        }

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take the key of the process that the copy lives in."""
        super().__setstate__(state)
        self.api_key = secret_from_env("DASHSCOPE_API_KEY", default=None)()

    @property
    def _llm_type(self) -> str:
        return "qwen-ocr"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "base_url", "region", "min_pixels", "max_pixels", *_SENT_PARAMETERS, *_EXTRA_PARAMETERS)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "qwen-ocr"
        params["ls_model_name"] = kwargs.get("model") or self.model
        return params

    def get_num_tokens(self, text: str) -> int:
        """How many tokens *text* has, counted without any network."""
        return text_tokens(text, find_model(self.model)).tokens

    def bind_tools(self, *_args: object, **_options: object) -> NoReturn:
        """Qwen-OCR calls no tools.

        Raises:
            NotImplementedError: Always; it is an `OptionError` too.
        """
        raise _NoToolsError(
            "Qwen-OCR reads pictures and calls no tools. Let an agent's own chat model call the tools of "
            "QwenOCRToolkit instead."
        )

    def with_structured_output(self, *_args: object, **_options: object) -> NoReturn:
        """Qwen-OCR has no structured output; fields are a task of their own.

        Raises:
            NotImplementedError: Always; it is an `OptionError` too.
        """
        raise _NoToolsError(
            "Qwen-OCR has no structured output. Fields are a task: QwenOCR().read(picture, "
            "KeyInformationExtraction(schema)), or in a chain the task's prompt() beside the picture and "
            "QwenOCROutputParser(task) behind the model."
        )

    # Every way in passes one of these three; from there on, nobody sees the pictures' bytes.

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        return ChatPromptValue(messages=sealed(super()._convert_input(model_input).to_messages()))

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """The answers to several conversations; pictures are sealed first."""
        return super().generate([sealed(each) for each in messages], *args, **kwargs)

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """The same on the running event loop."""
        return await super().agenerate([sealed(each) for each in messages], *args, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - nothing is reported in between
        **kwargs: Any,
    ) -> ChatResult:
        import openai

        body = self._body(messages, stop, kwargs)
        client = self._chat_endpoint().client().with_options(max_retries=self.max_retries)
        outcome: ChatResult | QwenOCRError
        try:
            reply = client.chat.completions.with_raw_response.create(**body)
        except openai.OpenAIError as error:
            outcome = self._failure(error, body)
        else:
            outcome = self._result(reply.http_response, body)
        return _returned(outcome)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - nothing is reported in between
        **kwargs: Any,
    ) -> ChatResult:
        import openai

        body = await asyncio.to_thread(self._body, messages, stop, kwargs)
        client = (await self._chat_endpoint().async_client()).with_options(max_retries=self.max_retries)
        outcome: ChatResult | QwenOCRError
        try:
            reply = await client.chat.completions.with_raw_response.create(**body)
        except openai.OpenAIError as error:
            outcome = self._failure(error, body)
        else:
            outcome = self._result(reply.http_response, body)
        return _returned(outcome)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        import openai

        body = self._streaming_body(messages, stop, kwargs)
        client = self._chat_endpoint().client().with_options(max_retries=self.max_retries)
        failure: QwenOCRError | None = None
        try:
            with client.chat.completions.create(**body) as stream:
                failure = _nothing_streamed(stream.response)
                for event in stream:
                    failure = None
                    chunk = self._chunk(event, body)
                    if run_manager is not None:
                        run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                    yield chunk
        except openai.OpenAIError as error:
            failure = self._failure(error, body)
        if failure is not None:
            raise failure

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        import openai

        body = await asyncio.to_thread(self._streaming_body, messages, stop, kwargs)
        client = (await self._chat_endpoint().async_client()).with_options(max_retries=self.max_retries)
        failure: QwenOCRError | None = None
        try:
            async with await client.chat.completions.create(**body) as stream:
                failure = _nothing_streamed(stream.response)
                async for event in stream:
                    failure = None
                    chunk = self._chunk(event, body)
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                    yield chunk
        except openai.OpenAIError as error:
            failure = self._failure(error, body)
        if failure is not None:
            raise failure

    def _chat_endpoint(self) -> OpenAIChatEndpoint:
        if self._endpoint is None:
            if self.api_key is None:
                raise AuthenticationError(
                    "There is no API key. Set DASHSCOPE_API_KEY, or pass api_key=. To read without a key, use "
                    "ChatQwenOCR.local()."
                )
            self._endpoint = OpenAIChatEndpoint(
                api_key=self.api_key,
                base_url=self.base_url or os.environ.get("DASHSCOPE_BASE_URL"),
                region=self.region,
                timeout_s=self.timeout,
                http_client=self.http_client,
                http_async_client=self.http_async_client,
            )
        return self._endpoint

    def _body(self, messages: list[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the call.

        Raises:
            OptionError: An argument of the call is unknown.
        """
        unknown = sorted(given.keys() - _CALL_PARAMETERS)
        if unknown:
            raise OptionError(
                f"Qwen-OCR knows no {', '.join(unknown)}; known are {', '.join(sorted(_CALL_PARAMETERS))}."
            )
        chosen = {**self._settings(), **{name: value for name, value in given.items() if value is not None}}
        if stop is not None:
            chosen["stop"] = stop
        model = str(chosen["model"])
        writer = TurnWriter(
            profile=self._ocr_profile(model),
            min_pixels=chosen.get("min_pixels"),
            max_pixels=chosen.get("max_pixels"),
        )
        body = {"model": model, "messages": writer.write(messages)}
        body |= {name: chosen[name] for name in _SENT_PARAMETERS if chosen.get(name) is not None}
        extra = {name: chosen[name] for name in _EXTRA_PARAMETERS if chosen.get(name) is not None}
        return {**body, "extra_body": extra} if extra else body

    def _streaming_body(
        self, messages: list[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        body = {**self._body(messages, stop, given), "stream": True}
        wants_usage = given.get("stream_usage", self.stream_usage)
        return {**body, "stream_options": {"include_usage": True}} if wants_usage else body

    def _settings(self) -> dict[str, Any]:
        names = ("model", "min_pixels", "max_pixels", *_SENT_PARAMETERS, *_EXTRA_PARAMETERS)
        return {name: getattr(self, name) for name in names}

    def _ocr_profile(self, model: str) -> OCRModelProfile:
        return find_model(model)

    def _result(self, reply: httpx2.Response, body: Mapping[str, Any]) -> ChatResult | QwenOCRError:
        completion = self._chat_endpoint().read(reply, what=_WHAT, model=str(body["model"]))
        if isinstance(completion, QwenOCRError):
            return completion
        if completion.refusal is not None:
            return ContentRefusedError(
                f"The service declined to answer: {completion.refusal}", request_id=completion.request_id
            )
        message = ai_message(completion, str(body["model"]))
        generation = ChatGeneration(message=message, generation_info={"finish_reason": completion.finish_reason})
        return ChatResult(generations=[generation], llm_output={"model_name": message.response_metadata["model_name"]})

    def _chunk(self, event: openai.types.chat.ChatCompletionChunk, body: Mapping[str, Any]) -> ChatGenerationChunk:
        """A piece of a streamed answer; the one without a choice holds the tokens."""
        model = event.model or str(body["model"])
        if not event.choices:
            empty = {"choices": [{"message": {"content": ""}}], "usage": event.model_dump().get("usage")}
            usage = completion_from({**empty, "model": model}, model=str(body["model"]), region=self.region).usage
            return ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage_metadata(usage)))
        choice = event.choices[0]
        message = AIMessageChunk(content=choice.delta.content or "", id=event.id or None)
        if choice.finish_reason is None:
            return ChatGenerationChunk(message=message)
        message.response_metadata = {
            "model_name": model,
            "model_provider": "qwen-ocr",
            "finish_reason": choice.finish_reason,
        }
        return ChatGenerationChunk(message=message, generation_info={"finish_reason": choice.finish_reason})

    def _failure(self, error: openai.OpenAIError, body: Mapping[str, Any]) -> QwenOCRError:
        return self._chat_endpoint().failure(error, what=_WHAT, model=str(body["model"]))


def _nothing_streamed(reply: httpx2.Response) -> EndpointError:
    """The error for a stream without a single event: a proxy's page, or a server that does not stream."""
    kind = reply.headers.get("content-type", "something else").split(";")[0]
    return EndpointError(
        f"{_WHAT}: {reply.url.host} answered with {kind} and no event of a stream. Check that base_url is the address "
        "of an OpenAI-compatible chat endpoint; if its server does not stream, give disable_streaming=True.",
        status=reply.status_code,
        request_id=reply.headers.get("x-request-id"),
    )


def _returned(outcome: ChatResult | QwenOCRError) -> ChatResult:
    # Raised outside of any `except`: the client's own exceptions hold the key and the pictures.
    if isinstance(outcome, QwenOCRError):
        raise outcome
    return outcome
