"""Everything this package raises, by whose fault it is.

```
QwenOCRError                      exit code 1
├── OptionError (ValueError)      2   the caller: an argument that cannot work
│   └── UnsupportedTaskError      2   this reader cannot do that task
├── SourceError                   3   the file: missing, broken, beyond a limit
│   └── ForbiddenSourceError      3   a path or address that the caller may not open
├── AnswerError                   4   the model: an answer in none of the task's forms
├── BudgetError                   5   a cap on pages, tokens or money stopped the run
└── EndpointError                 6   the service
    ├── AuthenticationError       7   the key, the account, the access to a model
    ├── RequestRejectedError      6   the service refuses this request; repeating it does not help
    ├── ContentRefusedError       6   the service's content check
    ├── RateLimitError            8   too many requests or tokens; later it works
    └── ServiceUnavailableError   8   5xx, timeouts, broken connections; later it may work
```

Catch `QwenOCRError` to catch them all. Messages say what happened, to which page of which file, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class QwenOCRError(Exception):
    """The root of all errors of this package."""

    exit_code: ClassVar[int] = 1
    """What the command line ends with."""


class OptionError(QwenOCRError, ValueError):
    """An argument that cannot work, said before anything is sent."""

    exit_code: ClassVar[int] = 2


class UnsupportedTaskError(OptionError):
    """This reader cannot do that task, or not on that picture."""


class SourceError(QwenOCRError):
    """A source that cannot be opened, or a page of it that cannot be rendered or sent.

    Args:
        message: What happened and what to do.
        source: The file, as the caller named it.
        page_index: From 0; None when the whole source is meant.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, source: str | None = None, page_index: int | None = None) -> None:
        super().__init__(message)
        self.source = source
        self.page_index = page_index


class ForbiddenSourceError(SourceError):
    """A path outside the allowed folder, or an address that must not be fetched."""


class AnswerError(QwenOCRError):
    """An answer that is in none of the task's forms.

    Args:
        message: What is wrong with it.
        answer: The answer as it came.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer
        """The answer as it came."""


class BudgetError(QwenOCRError):
    """A cap on pages, tokens or money was reached; the message names what was not read."""

    exit_code: ClassVar[int] = 5


class EndpointError(QwenOCRError):
    """The service did not answer this request.

    Args:
        message: What happened and what to do.
        status: The HTTP status, when there was one.
        code: The service's own error code.
        request_id: The service's id of the request, to quote to its support.
        retry_after_s: How long the service asks to wait, in seconds.
        max_repeats: How often it is worth repeating; None as often as the caller allows. A call that timed out may
            be paid for each time.
    """

    exit_code: ClassVar[int] = 6
    retryable: ClassVar[bool] = False
    """Whether the same request may succeed later."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        max_repeats: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.max_repeats = max_repeats
        self.attempts = 1
        """How many calls were made before giving up."""


class AuthenticationError(EndpointError):
    """The key is wrong or expired, the account is in arrears, or the model is not open to it.

    It would meet every page alike, so reading stops at it.
    """

    exit_code: ClassVar[int] = 7


class RequestRejectedError(EndpointError):
    """The service refuses this request as it stands: size, format, parameter."""


class ContentRefusedError(EndpointError):
    """The service's content check refused the picture or the answer."""


class RateLimitError(EndpointError):
    """Too many requests or tokens a minute."""

    exit_code: ClassVar[int] = 8
    retryable: ClassVar[bool] = True


class ServiceUnavailableError(EndpointError):
    """The service failed, was overloaded, timed out, or the connection broke."""

    exit_code: ClassVar[int] = 8
    retryable: ClassVar[bool] = True
