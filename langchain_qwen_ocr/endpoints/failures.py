"""What the service's refusals mean: a table from status, code and words to an error and what to do about it.

Nothing here opens a connection. The rows are asked from top to bottom and the first that fits decides, so
what is particular stands above what is general. Codes and words are those of Model Studio's page "Error codes"
in both of its dialects (`limit_requests` and `Throttling.RateQuota`), and what gateways in front of it say.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import math
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from langchain_qwen_ocr.errors import (
    AuthenticationError,
    ContentRefusedError,
    EndpointError,
    QwenOCRError,
    RateLimitError,
    RequestRejectedError,
    ServiceUnavailableError,
    UnsupportedTaskError,
)

_MAX_WORDS_CHARS: Final = 600
"""How much of the service's own message goes into an error."""
_KEY_LIKE: Final = re.compile(r"\bsk-[A-Za-z0-9_\-*.]{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRule:
    """One row: which replies it is about, what they are, and what to do."""

    error: type[EndpointError | UnsupportedTaskError]
    remedy: str
    """What to do; may name `{host}`, `{region}` and `{model}`."""
    status: tuple[int, int] = (0, 999)
    """First and last HTTP status it is about."""
    code: str = ""
    """A pattern that the whole code fits, in any case."""
    words: str = ""
    """A pattern found in the message, in any case. Where code and words are given, one of them is enough."""
    max_repeats: int | None = None
    """How often it is worth repeating; None as often as the caller allows."""

    def fits(self, status: int, codes: tuple[str, ...], words: str) -> bool:
        """Whether it is about such a reply."""
        if not self.status[0] <= status <= self.status[1]:
            return False
        by_code = self.code and any(re.fullmatch(self.code, code, re.IGNORECASE) for code in codes)
        by_words = self.words and re.search(self.words, words, re.IGNORECASE)
        return bool(by_code or by_words) or not (self.code or self.words)


_CHECK_KEY: Final = (
    "Check the API key. Keys belong to one region and billing plan: this one went to {host}, as for region "
    "{region!r}; a key of another region needs region= or base_url= of its own."
)
_OPEN_MODEL: Final = "Open {model} to the account and to this key's workspace in the Model Studio console."
_WAIT_A_MINUTE: Final = "Wait a minute, lower max_concurrency, or raise the limit in the Model Studio console."
_SMALLER: Final = 'Lower max_pixels, send the picture as image_format="jpeg", or fewer pages together.'
_TOO_SLOW: Final = "Try again later; a smaller picture or a lower max_tokens is answered sooner."
_TRY_LATER: Final = "The service is in trouble: try again later."

RULES: Final = (
    FailureRule(code="unsupported_task", error=UnsupportedTaskError, remedy=""),
    # Who calls.
    FailureRule(code="invalid_?api_?key", error=AuthenticationError, remedy=_CHECK_KEY),
    FailureRule(status=(401, 401), error=AuthenticationError, remedy=_CHECK_KEY),
    FailureRule(
        code="arrearage",
        words="account is in good standing|overdue payment",
        error=AuthenticationError,
        remedy="Settle the account's bill in the Alibaba Cloud console.",
    ),
    FailureRule(
        code=r"allocationquota\.freetieronly",
        words="free tier of the model has been exhausted",
        error=AuthenticationError,
        remedy='Switch off "free tier only" for {model} in the Model Studio console, or choose another model.',
    ),
    FailureRule(
        code="model_not_found|modelnotfound|model_not_supported",
        error=AuthenticationError,
        remedy="Choose a model of region {region!r} (`-latest` names and qwen3.5-ocr exist in Beijing only), or "
        "open {model} to this key's workspace.",
    ),
    FailureRule(code=r"(model\.|workspace\.)?access_?denied(\..*)?", error=AuthenticationError, remedy=_OPEN_MODEL),
    FailureRule(status=(403, 403), error=AuthenticationError, remedy=_OPEN_MODEL),
    # How fast.
    FailureRule(
        code=r"limit_burst_rate|throttling\.burstrate",
        error=RateLimitError,
        remedy="The number of calls grew too quickly: lower max_concurrency, or start slower.",
    ),
    FailureRule(
        code=r"insufficient_quota|throttling\.allocationquota",
        error=RateLimitError,
        remedy="The tokens of this minute are used up, or the account's quota is: wait a minute, lower "
        "max_concurrency, or raise the quota in the Model Studio console.",
    ),
    FailureRule(code=r"limit_requests|throttling(\..*)?|rate_limit.*", error=RateLimitError, remedy=_WAIT_A_MINUTE),
    FailureRule(status=(429, 429), error=RateLimitError, remedy=_WAIT_A_MINUTE),
    # What is in the picture.
    FailureRule(
        code=r"invalidparameter\.datainspection",
        words="unable to download the media resource during the data inspection",
        error=ServiceUnavailableError,
        remedy="The service could not fetch the picture for its content check: send the file itself.",
        max_repeats=1,
    ),
    FailureRule(
        code="data_?inspection_?failed",
        words="may contain inappropriate content",
        error=ContentRefusedError,
        remedy="Sending it again does not help: look at the picture, and read this page by other means.",
    ),
    # How the picture is made.
    FailureRule(
        words="length and width do not meet|must be larger than 10",
        error=RequestRejectedError,
        remedy="Both sides of a picture are more than 10 px: leave this page out, or enlarge it.",
    ),
    FailureRule(
        words="aspect ratio",
        error=RequestRejectedError,
        remedy="The longer side is at most 200 times the shorter one: cut the picture into parts.",
    ),
    FailureRule(
        words="image format is illegal|cannot be opened|unsupported image",
        error=RequestRejectedError,
        remedy='The service does not open this picture: send it as image_format="png".',
    ),
    FailureRule(
        words="max bytes per data-uri",
        error=RequestRejectedError,
        remedy='The picture is over 10 MB as base64: lower max_pixels, or send it as image_format="jpeg".',
    ),
    FailureRule(
        code=r"badrequest\.toolarge",
        words="file size is too large|payload too large|request entity too large",
        error=RequestRejectedError,
        remedy=_SMALLER,
    ),
    FailureRule(status=(413, 413), error=RequestRejectedError, remedy=_SMALLER),
    FailureRule(
        words="missing content-length of multimodal|failed to download multimodal"
        "|does not appear to be valid|url error",
        error=RequestRejectedError,
        remedy="The service cannot fetch the picture: its address must be public, without a login, and its "
        "server must send Content-Length; or send the file itself.",
    ),
    # What is asked for.
    FailureRule(
        words="range of max_tokens",
        error=RequestRejectedError,
        remedy="Lower max_tokens to what {model} can write, or leave it out.",
    ),
    FailureRule(
        words="range of input length",
        error=RequestRejectedError,
        remedy="The pictures and the prompt are more than {model} takes: lower max_pixels, or send fewer pages "
        "together.",
    ),
    FailureRule(
        words="temperature should be",
        error=RequestRejectedError,
        remedy="Leave temperature at the service's own value.",
    ),
    FailureRule(
        words="field required",
        error=RequestRejectedError,
        remedy="{host} does not understand the request: check base_url and model.",
    ),
    # How the service is.
    FailureRule(
        status=(500, 599),
        code=r"requesttimeout|request_timeout|internalerror\.timeout",
        error=ServiceUnavailableError,
        remedy=_TOO_SLOW,
        max_repeats=1,
    ),
    FailureRule(status=(408, 408), error=ServiceUnavailableError, remedy=_TOO_SLOW, max_repeats=1),
    FailureRule(status=(504, 504), error=ServiceUnavailableError, remedy=_TOO_SLOW, max_repeats=1),
    FailureRule(
        code="modelunavailable|modelservingerror|model_unavailable|model_serving_error",
        error=ServiceUnavailableError,
        remedy="The model is overloaded: try again later.",
    ),
    FailureRule(status=(500, 599), error=ServiceUnavailableError, remedy=_TRY_LATER),
    FailureRule(
        status=(404, 404),
        error=RequestRejectedError,
        remedy="There is no chat endpoint at {host}: base_url ends with /compatible-mode/v1.",
    ),
    FailureRule(
        status=(400, 499),
        error=RequestRejectedError,
        remedy="The service refuses this request, and would again.",
    ),
    FailureRule(code=r"internal_?error(\..*)?", error=ServiceUnavailableError, remedy=_TRY_LATER),
    FailureRule(error=EndpointError, remedy="Check that base_url is the address of an OpenAI-compatible endpoint."),
)
"""Every kind of refusal. The last row fits everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What an error says about the call it belongs to."""

    page: str
    """Which page of which file."""
    model: str
    host: str
    """Where the request went."""
    region: str
    timeout_s: float | None = None


def refusal_of(
    context: CallContext,
    *,
    status: int,
    text: str,
    headers: Mapping[str, str] | None = None,
    now: dt.datetime | None = None,
) -> QwenOCRError:
    """The error that a reply without an answer stands for; to be raised by the caller.

    Args:
        context: The call.
        status: The HTTP status; below 400 when the reply's body says that it failed.
        text: The body: the service's JSON in either dialect, or whatever a gateway sent.
        headers: For `Retry-After` and the id of the request; names in lower case, or a mapping that does not
            mind.
        now: The time that a `Retry-After` date counts from; the present when None.
    """
    headers = headers or {}
    reply = _read_reply(text)
    rule = next(rule for rule in RULES if rule.fits(status, reply.codes, reply.words))
    code = reply.codes[0] if reply.codes else None
    remedy = rule.remedy.format(host=context.host, region=context.region, model=context.model)
    if issubclass(rule.error, UnsupportedTaskError):
        return rule.error(f"{context.page}: {reply.words}")
    about = ", ".join(filter(None, (f"HTTP {status}", code)))
    words = _sentence(reply.words or "the service gave no reason")
    return rule.error(
        f"{context.page}: {words} ({about}) {remedy}",
        status=status,
        code=code,
        request_id=reply.request_id or headers.get("x-request-id"),
        retry_after_s=retry_after_s(headers.get("retry-after"), now=now),
        max_repeats=rule.max_repeats,
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    codes: tuple[str, ...]
    """The code, then the type, where they are given."""
    words: str
    request_id: str | None


def _read_reply(text: str) -> _Reply:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return _Reply((), without_keys(_plain(text)), None)
    error = body.get("error")
    inner = error if isinstance(error, dict) else body
    words = inner.get("message") or (error if isinstance(error, str) else None) or body.get("message") or ""
    codes = tuple(str(inner[name]) for name in ("code", "type") if inner.get(name))
    request_id = body.get("request_id") or inner.get("request_id")
    return _Reply(codes, without_keys(_plain(str(words))), str(request_id) if request_id else None)


def _plain(text: str) -> str:
    """A message as one short line; of an HTML page its words."""
    if text.lstrip()[:1] == "<" and "</" in text:
        text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_WORDS_CHARS else line[:_MAX_WORDS_CHARS] + "…"


def _sentence(words: str) -> str:
    # A full stop behind an address would become part of it.
    ends = words.endswith((".", "!", "?", "…", "。")) or "://" in words.rpartition(" ")[2]
    return words if ends else words + "."


def without_keys(text: str) -> str:
    """*text* with everything that looks like an API key taken out."""
    return _KEY_LIKE.sub("sk-…", text)


def retry_after_s(value: str | None, *, now: dt.datetime | None = None) -> float | None:
    """How long a `Retry-After` header asks to wait, in seconds, never below 0; None where it says nothing.

    Args:
        value: Seconds, or a date as HTTP writes it.
        now: The time that a date counts from; the present when None.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, now or dt.datetime.now(tz=dt.UTC))
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _until(date: str, now: dt.datetime) -> float | None:
    try:
        then = email.utils.parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=dt.UTC)
    return max((then - now).total_seconds(), 0.0)


def connection_failure(error: BaseException, context: CallContext) -> EndpointError:
    """The error that a call without any reply stands for: a timeout, a broken connection, a bad certificate.

    Args:
        error: As the client raised it; its causes are looked at.
        context: The call.
    """
    chain = tuple(_causes(error))
    names = {type(cause).__name__ for cause in chain}
    detail = without_keys(_plain(str(chain[-1]))) or type(chain[-1]).__name__
    start = f"{context.page}: "
    if "ConnectTimeout" in names or "PoolTimeout" in names:
        return ServiceUnavailableError(
            f"{start}no connection to {context.host} in time. Check the network and proxy, or try again later."
        )
    if any("Timeout" in name for name in names) or isinstance(chain[-1], TimeoutError):
        waited = "in time" if context.timeout_s is None else f"within {context.timeout_s:g} s"
        return ServiceUnavailableError(
            f"{start}{context.host} sent no answer {waited}. Raise timeout_s, or send a smaller picture "
            "(max_pixels) or ask for a shorter answer (max_tokens).",
            code="timeout",
            max_repeats=1,
        )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain) or "CERTIFICATE_VERIFY_FAILED" in detail:
        return EndpointError(
            f"{start}the certificate of {context.host} is not trusted here ({detail}). Install the system's "
            "certificates (the package ca-certificates), or set SSL_CERT_FILE to the file of your proxy's "
            "authority."
        )
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return ServiceUnavailableError(
            f"{start}the name {context.host} was not found ({detail}). Check the network and base_url."
        )
    return ServiceUnavailableError(
        f"{start}the connection to {context.host} failed ({detail}). Check the network and proxy, or try again later."
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what led to it, the origin last."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
