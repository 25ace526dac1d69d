"""What stands where the service would: an HTTP request in, an answer in the service's own format out.

It opens no connection and takes pictures only as data URLs. The in-process transport and the server are thin
shells round it.
"""

from __future__ import annotations

import codecs
import hashlib
import importlib.util
import json
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from langchain_qwen_ocr.errors import OptionError, SourceError, UnsupportedTaskError
from langchain_qwen_ocr.geometry import Affine, Point, Size
from langchain_qwen_ocr.local.chat_request import ChatRequest, WireError, read_chat_request
from langchain_qwen_ocr.models import MODELS
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.advanced_recognition import AdvancedRecognition
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition
from langchain_qwen_ocr.usage import image_tokens
from langchain_qwen_ocr.vocabulary import count_tokens, qwen_encoding

OWN_WORDS_KEY = "qwen_ocr_local"
"""The key under which an answer carries what the service's format has no place for: `{"warnings": [...]}`."""

_INSTALL = 'pip install "langchain-qwen-ocr[local]"'
_KEPT_LAYOUTS = 8
"""So many pages can be asked again, for another task, without being looked at again."""
_OLD_DEFAULT_PROMPT = "Read all the text in the image."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def require_engine() -> None:
    """Make sure that the extra `local` is installed, without loading any of it.

    Raises:
        OptionError: It is not.
    """
    missing = [name for name in ("rapidocr", "onnxruntime", "cv2") if importlib.util.find_spec(name) is None]
    if missing:
        raise OptionError(f"The local engine needs {', '.join(missing)}: {_INSTALL}")


class LocalService:
    """Answers the service's requests with the local engine; safe from any thread.

    Raises:
        OptionError: The extra `local` is not installed.
    """

    def __init__(self) -> None:
        require_engine()
        self._layouts: OrderedDict[str, Layout] = OrderedDict()
        self._one_page_at_a_time = threading.Lock()

    def answer(self, method: str, path: str, body: bytes) -> HTTPAnswer:
        """The answer to one request; errors are answers too."""
        request_id = str(uuid.uuid4())
        try:
            return self._route(method, path.rstrip("/"), body, request_id)
        except WireError as error:
            return error_answer(error, request_id)
        except (SourceError, OptionError) as error:
            return error_answer(_as_wire_error(error), request_id)
        except Exception as error:  # noqa: BLE001 - a server answers whatever happens to it, and says so
            _log.exception("Request %s failed in the local engine.", request_id)
            failure = f"The local engine failed: {type(error).__name__}: {error}"
            return error_answer(WireError(failure, status=500, code="InternalError"), request_id)

    def _route(self, method: str, path: str, body: bytes, request_id: str) -> HTTPAnswer:
        if path.endswith("/chat/completions"):
            if method != "POST":
                raise WireError(f"Method {method} not allowed; POST it.", status=405, code="method_not_allowed")
            return self._complete(read_chat_request(body), request_id)
        if path.endswith("/models") and method == "GET":
            return _json_answer(200, _model_list(), request_id)
        raise WireError(
            f"There is no {method} {path}. The local engine answers POST /chat/completions and GET /models.",
            status=404,
            code="not_found",
        )

    def _complete(self, request: ChatRequest, request_id: str) -> HTTPAnswer:
        layouts = [self._layout(picture.data) for picture in request.pictures]
        task = _task_for(request.prompt)
        result = _read(task, layouts)
        text = "" if result.is_blank else task.write(result)
        warnings = [warning for layout in layouts for warning in layout.warnings]
        completion = _Completion(
            request=request,
            text=text,
            image_tokens=sum(
                image_tokens(layout.picture, request.profile, picture.budget)
                for layout, picture in zip(layouts, request.pictures, strict=True)
            ),
            prompt=request.prompt or TextRecognition().prompt(),
            warnings=tuple(dict.fromkeys((*warnings, *result.warnings))),
            completion_id=f"chatcmpl-{request_id}",
        )
        if request.stream:
            headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
            return HTTPAnswer(200, b"".join(completion.events()), {**headers, "x-request-id": request_id})
        return _json_answer(200, completion.body(), request_id)

    def _layout(self, data: bytes) -> Layout:
        digest = hashlib.sha256(data).hexdigest()
        with self._one_page_at_a_time:
            layout = self._layouts.pop(digest, None) or _look_at(data)
            self._layouts[digest] = layout
            while len(self._layouts) > _KEPT_LAYOUTS:
                self._layouts.popitem(last=False)
        return layout


def _look_at(data: bytes) -> Layout:
    try:
        from langchain_qwen_ocr.local.vision import shared_vision
    except ImportError as error:
        raise OptionError(f"The local engine cannot be loaded ({error}): {_INSTALL}") from error
    return shared_vision().read(data)


def _as_wire_error(error: SourceError | OptionError) -> WireError:
    if isinstance(error, UnsupportedTaskError):
        return WireError(str(error), code="unsupported_task")
    if isinstance(error, SourceError):
        return WireError(f"<400> InternalError.Algo.InvalidParameter: {error}", param="messages")
    return WireError(str(error), code="local_engine_unavailable")


def _task_for(prompt: str) -> Task[Result]:
    if prompt in {"", _OLD_DEFAULT_PROMPT}:
        return TextRecognition()
    found = (task_type.from_prompt(prompt) for task_type in TASKS.values())
    return next(task for task in found if task is not None)


def _read(task: Task[Result], layouts: Sequence[Layout]) -> Result:
    if len(layouts) > 1 and isinstance(task, AdvancedRecognition):
        raise UnsupportedTaskError("Places on several pictures cannot be told apart. Send one picture a request.")
    unread = [layout for layout in layouts if not layout.lines and layout.warnings]
    if unread:
        # A page of which nothing could be read is not a blank page.
        raise UnsupportedTaskError(f"{' '.join(unread[0].warnings)} Use the service for this picture.")
    return task.from_layout(layouts[0] if len(layouts) == 1 else one_below_the_other(layouts))


def one_below_the_other(layouts: Sequence[Layout]) -> Layout:
    """Several pages as one long page; places on it belong to no picture."""
    heights = [layout.size.height_px for layout in layouts]
    size = Size(max(layout.size.width_px for layout in layouts), sum(heights))
    tops = accumulate(heights, initial=0)
    moved = [(layout, Affine.translation(0, top)) for layout, top in zip(layouts, tops, strict=False)]
    return Layout(
        picture=size,
        size=size,
        lines=tuple(
            LayoutLine(line.text, line.quad.mapped(down), line.score) for layout, down in moved for line in layout.lines
        ),
        rulings=tuple(
            Ruling(_moved(ruling.start, down), _moved(ruling.end, down))
            for layout, down in moved
            for ruling in layout.rulings
        ),
        warnings=tuple(dict.fromkeys(warning for layout in layouts for warning in layout.warnings)),
    )


def _moved(point: Point, affine: Affine) -> Point:
    return affine(point.x, point.y)


@dataclass(frozen=True, kw_only=True)
class _Completion:
    """An answer on its way into the service's forms."""

    request: ChatRequest
    text: str
    image_tokens: int
    prompt: str
    warnings: tuple[str, ...]
    completion_id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self) -> dict[str, Any]:
        """The whole answer at once."""
        pieces, finish_reason = self._cut()
        message = {"content": "".join(pieces), "role": "assistant", "refusal": None, "annotations": None}
        message |= {"audio": None, "function_call": None, "tool_calls": None}
        choice = {"message": message, "finish_reason": finish_reason, "index": 0, "logprobs": None}
        return {
            "id": self.completion_id,
            "choices": [choice],
            "created": self.created,
            "model": self.request.model,
            "object": "chat.completion",
            "service_tier": None,
            "system_fingerprint": None,
            "usage": self._usage(len(pieces)),
            OWN_WORDS_KEY: {"warnings": list(self.warnings)},
        }

    def events(self) -> Iterator[bytes]:
        """The answer as server-sent events, one for each token."""
        pieces, finish_reason = self._cut()
        yield self._event(_delta(role="assistant"))
        for piece in pieces:
            if piece:
                yield self._event(_delta(piece))
        own_words = {OWN_WORDS_KEY: {"warnings": list(self.warnings)}}
        yield self._event(_delta(finish_reason=finish_reason), own_words)
        if self.request.include_usage:
            yield self._event([], {"usage": self._usage(len(pieces)), **own_words})
        yield b"data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]], more: Mapping[str, Any] | None = None) -> bytes:
        chunk = {
            "id": self.completion_id,
            "choices": choices,
            "created": self.created,
            "model": self.request.model,
            "object": "chat.completion.chunk",
            "service_tier": None,
            "system_fingerprint": None,
            "usage": None,
            **(more or {}),
        }
        return b"data: " + _dump(chunk) + b"\n\n"

    def _cut(self) -> tuple[list[str], str]:
        """The text of each token that is sent, and why there are no more."""
        text = self.text
        for stop in self.request.stop:
            text = text.partition(stop)[0]
        pieces = _token_texts(text)
        limit = self.request.max_tokens
        if limit is not None and len(pieces) > limit:
            return pieces[:limit], "length"
        return pieces, "stop"

    def _usage(self, completion_tokens: int) -> dict[str, Any]:
        overhead = self.request.profile.prompt_overhead_tokens
        text_tokens = count_tokens(self.prompt) + overhead
        prompt_tokens = self.image_tokens + text_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens_details": {
                "accepted_prediction_tokens": None,
                "audio_tokens": None,
                "reasoning_tokens": None,
                "rejected_prediction_tokens": None,
                "text_tokens": completion_tokens,
            },
            "prompt_tokens_details": {
                "audio_tokens": None,
                "cached_tokens": None,
                "image_tokens": self.image_tokens,
                "text_tokens": text_tokens,
            },
        }


def _token_texts(text: str) -> list[str]:
    """What each token of *text* adds to it; a character of several tokens comes with its last one."""
    encoding = qwen_encoding()
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [decoder.decode(token) for token in encoding.decode_tokens_bytes(encoding.encode_ordinary(text))]


def _delta(content: str = "", *, role: str | None = None, finish_reason: str | None = None) -> list[dict[str, Any]]:
    delta = {"content": content, "function_call": None, "refusal": None, "role": role, "tool_calls": None}
    return [{"delta": delta, "finish_reason": finish_reason, "index": 0, "logprobs": None}]


def _model_list() -> dict[str, Any]:
    models = [
        {"id": profile.name, "object": "model", "created": 0, "owned_by": "langchain-qwen-ocr"} for profile in MODELS
    ]
    return {"object": "list", "data": models}


def error_answer(error: WireError, request_id: str | None = None) -> HTTPAnswer:
    """The error in the service's own form."""
    request_id = request_id or str(uuid.uuid4())
    kind = "invalid_request_error" if error.status < 500 else "server_error"  # noqa: PLR2004 - the server's own faults
    described = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return _json_answer(error.status, {"error": described, "request_id": request_id}, request_id)


def _json_answer(status: int, body: Mapping[str, Any], request_id: str) -> HTTPAnswer:
    headers = {"content-type": "application/json; charset=utf-8", "x-request-id": request_id}
    return HTTPAnswer(status, _dump(body), headers)


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
