"""What the service's refusals become: every kind that its error page lists, in both dialects."""

import datetime as dt
import itertools
import json
import socket
import ssl

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_ocr.endpoints.failures import (
    RULES,
    CallContext,
    connection_failure,
    refusal_of,
    retry_after_s,
)
from langchain_qwen_ocr.errors import (
    AuthenticationError,
    ContentRefusedError,
    EndpointError,
    RateLimitError,
    RequestRejectedError,
    ServiceUnavailableError,
    UnsupportedTaskError,
)

CONTEXT = CallContext(
    page="Page 3 of scan.pdf",
    model="qwen-vl-ocr-latest",
    host="dashscope.aliyuncs.com",
    region="beijing",
    timeout_s=300.0,
)
ALGO = "<400> InternalError.Algo.InvalidParameter: "

REFUSALS = [
    # status, code, native code, message, error, whether it is repeated, a word of the remedy
    (401, "invalid_api_key", "InvalidApiKey", "Incorrect API key provided. ", AuthenticationError, "region"),
    (
        400,
        "Arrearage",
        "Arrearage",
        "Access denied, please make sure your account is in good standing.",
        AuthenticationError,
        "bill",
    ),
    (
        403,
        "AccessDenied.Unpurchased",
        "AccessDenied.Unpurchased",
        "Access to model denied.",
        AuthenticationError,
        "console",
    ),
    (
        403,
        "Model.AccessDenied",
        "Model.AccessDenied",
        "Model access denied.",
        AuthenticationError,
        "workspace",
    ),
    (
        403,
        "Workspace.AccessDenied",
        "Workspace.AccessDenied",
        "Workspace access denied.",
        AuthenticationError,
        "workspace",
    ),
    (
        403,
        "AllocationQuota.FreeTierOnly",
        "AllocationQuota.FreeTierOnly",
        "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis…",
        AuthenticationError,
        "free tier only",
    ),
    (
        404,
        "model_not_found",
        "ModelNotFound",
        "The model `xxx` does not exist or you do not have access to it.",
        AuthenticationError,
        "Choose a model",
    ),
    (
        404,
        "model_not_supported",
        "model_not_supported",
        "Unsupported model `xxx` for OpenAI compatibility mode.",
        AuthenticationError,
        "Choose a model",
    ),
    (
        429,
        "limit_requests",
        "Throttling.RateQuota",
        "You have exceeded your current request limit.",
        RateLimitError,
        "minute",
    ),
    (
        429,
        "insufficient_quota",
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        RateLimitError,
        "quota",
    ),
    (
        429,
        "limit_burst_rate",
        "Throttling.BurstRate",
        "Request rate increased too quickly.",
        RateLimitError,
        "slower",
    ),
    (
        400,
        "data_inspection_failed",
        "DataInspectionFailed",
        "Output data may contain inappropriate content.",
        ContentRefusedError,
        "other means",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter.DataInspection",
        "Unable to download the media resource during the data inspection process.",
        ServiceUnavailableError,
        "file itself",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        ALGO + "The image length and width do not meet the model restrictions. "
        "[height:1 or width:1 must be larger than 10]",
        RequestRejectedError,
        "10 px",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        ALGO + "The image format is illegal and cannot be opened",
        RequestRejectedError,
        "image_format",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Failed to download multimodal content.",
        RequestRejectedError,
        "public",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Exceeded limit on max bytes per data-uri item : 10485760",
        RequestRejectedError,
        "10 MB",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Multimodal file size is too large",
        RequestRejectedError,
        "max_pixels",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Range of max_tokens should be [1, 8192]",
        RequestRejectedError,
        "Lower max_tokens",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Range of input length should be [1, 30000]",
        RequestRejectedError,
        "fewer pages",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Temperature should be in [0.0, 2.0)",
        RequestRejectedError,
        "temperature",
    ),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "The provided URL does not appear to be valid. Ensure it is correctly formatted.",
        RequestRejectedError,
        "public",
    ),
    (400, "invalid_parameter_error", "InvalidURL", "url error, please check url!", RequestRejectedError, "public"),
    (
        400,
        "invalid_parameter_error",
        "InvalidParameter",
        "Field required: image_url",
        RequestRejectedError,
        "base_url",
    ),
    (400, "BadRequest.TooLarge", "BadRequest.TooLarge", "Payload Too Large.", RequestRejectedError, "max_pixels"),
    (
        500,
        "InternalError",
        "InternalError.Algo",
        "An internal error has occured, please try again later or contact service support.",
        ServiceUnavailableError,
        "later",
    ),
    (
        500,
        "InternalError",
        "InternalError",
        "Missing Content-Length of multimodal url.",
        RequestRejectedError,
        "Content-Length",
    ),
    (
        500,
        "RequestTimeOut",
        "RequestTimeOut",
        "Request timed out, please try again later.",
        ServiceUnavailableError,
        "sooner",
    ),
    (
        500,
        "InternalError.Timeout",
        "InternalError.Timeout",
        "An internal timeout error has occured.",
        ServiceUnavailableError,
        "sooner",
    ),
    (503, "ModelUnavailable", "ModelUnavailable", "Model is unavailable.", ServiceUnavailableError, "overloaded"),
    (
        503,
        "ModelServingError",
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits.",
        ServiceUnavailableError,
        "overloaded",
    ),
]
IDS = [f"{case[1]}-{case[3].removeprefix(ALGO)[:24]}" for case in REFUSALS]


@pytest.mark.parametrize("refusal", REFUSALS, ids=IDS)
def test_every_refusal_of_the_error_page(refusal):
    """A refusal becomes its error in both dialects, naming the page, the service's words and what to do."""
    status, code, native_code, message, error, remedy = refusal
    compatible = {"error": {"message": message, "type": "x", "param": None, "code": code}, "request_id": "r-1"}
    native = {"code": native_code, "message": message, "request_id": "r-1"}
    for body in (compatible, native):
        failure = refusal_of(CONTEXT, status=status, text=json.dumps(body))

        assert type(failure) is error
        assert isinstance(failure, EndpointError)
        assert str(failure).startswith("Page 3 of scan.pdf: ")
        assert message.strip() in str(failure)
        assert remedy in str(failure)
        assert failure.status == status
        assert failure.request_id == "r-1"


def test_no_row_is_unreachable():
    """Each row of the table is the first that fits for some reply."""
    replies = [
        *((case[0], (case[1],), case[3]) for case in REFUSALS),
        *((case[0], (case[2],), case[3]) for case in REFUSALS),
        *((status, (), "") for status in (302, 400, 401, 403, 404, 408, 413, 429, 500, 504)),
        (200, ("InternalError",), ""),
        (400, ("unsupported_task",), ""),
        (400, (), "absolute aspect ratio must be smaller than 200, got 250"),
    ]
    chosen = {next(rule for rule in RULES if rule.fits(*reply)) for reply in replies}

    assert [rule for rule in RULES if rule not in chosen] == []


@pytest.mark.parametrize(
    ("status", "text", "error", "max_repeats"),
    [
        (502, "<html><head><title>502</title></head><body>Bad Gateway</body></html>", ServiceUnavailableError, None),
        (504, "upstream request timeout", ServiceUnavailableError, 1),
        (408, "", ServiceUnavailableError, 1),
        (413, "<html><body>Request Entity Too Large</body></html>", RequestRejectedError, None),
        (429, "", RateLimitError, None),
        (401, "", AuthenticationError, None),
        (404, "404 page not found", RequestRejectedError, None),
        (422, '{"detail": [{"msg": "extra fields not permitted"}]}', RequestRejectedError, None),
        (500, "[1, 2", ServiceUnavailableError, None),
        (302, "", EndpointError, None),
        (200, '{"error": {"code": "data_inspection_failed", "message": "x"}}', ContentRefusedError, None),
        (500, '{"error": "overloaded"}', ServiceUnavailableError, None),
        (400, '{"error": {"code": 1210, "message": null}}', RequestRejectedError, None),
    ],
)
def test_what_gateways_say(status, text, error, max_repeats):
    """A reply that is not the service's own becomes an error by its status, its words kept without markup."""
    failure = refusal_of(CONTEXT, status=status, text=text)

    assert type(failure) is error
    assert isinstance(failure, EndpointError)
    assert failure.max_repeats == max_repeats
    assert "<" not in str(failure)


def test_a_task_the_embedded_engine_cannot_do():
    """The embedded engine's refusal of a task is the caller's to solve, not the service's."""
    body = {"error": {"code": "unsupported_task", "type": "invalid_request_error", "message": "No fractions."}}
    failure = refusal_of(CONTEXT, status=400, text=json.dumps(body))

    assert type(failure) is UnsupportedTaskError
    assert str(failure) == "Page 3 of scan.pdf: No fractions."


@given(st.integers(100, 599), st.text(max_size=80), st.text(max_size=80))
def test_any_reply_has_its_error(status, code, message):
    """Whatever a reply says, there is an error for it that names the page."""
    failure = refusal_of(CONTEXT, status=status, text=json.dumps({"error": {"code": code, "message": message}}))

    assert str(failure).startswith("Page 3 of scan.pdf: ")


def test_a_key_in_the_services_words_is_taken_out():
    """A service that quotes the key does not get it into the error."""
    text = json.dumps(
        {"error": {"message": "Incorrect API key provided: sk-4f3a9b1c0d. See…", "code": "invalid_api_key"}}
    )

    assert "4f3a" not in str(refusal_of(CONTEXT, status=401, text=text))


def test_a_long_reply_is_cut():
    """A page of HTML does not become a page of error."""
    assert len(str(refusal_of(CONTEXT, status=502, text="x" * 100_000))) < 900


NOW = dt.datetime(2026, 11, 20, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:59:00 GMT", 0.0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after(value, expected):
    """`Retry-After` is seconds or a date; what is neither says nothing."""
    assert retry_after_s(value, now=NOW) == expected


def test_retry_after_is_kept_on_the_error():
    """How long the service asks to wait is on the error."""
    failure = refusal_of(CONTEXT, status=429, text="", headers={"retry-after": "12"})

    assert isinstance(failure, RateLimitError)
    assert failure.retry_after_s == 12.0


def chained(*errors: BaseException) -> BaseException:
    """The first error, each caused by the one after it."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "expected", "retryable", "max_repeats", "words"),
    [
        (httpx2.ReadTimeout("timed out"), ServiceUnavailableError, True, 1, "within 300 s"),
        (httpx2.ConnectTimeout("timed out"), ServiceUnavailableError, True, None, "no connection"),
        (httpx2.PoolTimeout("timed out"), ServiceUnavailableError, True, None, "no connection"),
        (httpx2.RemoteProtocolError("peer closed"), ServiceUnavailableError, True, None, "peer closed"),
        (
            chained(httpx2.ConnectError("x"), ConnectionRefusedError(111, "Connection refused")),
            ServiceUnavailableError,
            True,
            None,
            "Connection refused",
        ),
        (
            chained(httpx2.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            ServiceUnavailableError,
            True,
            None,
            "name dashscope.aliyuncs.com was not found",
        ),
        (
            chained(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("self-signed certificate")),
            EndpointError,
            False,
            None,
            "SSL_CERT_FILE",
        ),
    ],
    ids=["read timeout", "connect timeout", "pool", "dropped", "refused", "no name", "certificate"],
)
def test_calls_without_a_reply(error, expected, retryable, max_repeats, words):
    """A call without a reply says what broke and what to do; only a late answer is repeated sparingly."""
    failure = connection_failure(error, CONTEXT)

    assert type(failure) is expected
    assert failure.retryable is retryable
    assert failure.max_repeats == max_repeats
    assert words in str(failure)
