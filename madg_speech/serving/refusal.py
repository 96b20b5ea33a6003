"""Why a request is not served: an HTTP status and a body in the shape that OpenAI's clients read."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class Refusal(Exception):
    """A request that cannot be served.

    Args:
        status: HTTP status, 400 to 503.
        message: what was given, what was expected, what to do.
        param: the form field at fault.
        code: a word for programs, such as ``unknown_language``.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ):
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    def response(self) -> JSONResponse:
        """``{"error": {message, type, param, code}}``, as in OpenAI's API reference."""
        kind = "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        elif self.status >= 500:
            kind = "server_error"
        error: dict[str, Any] = {
            "message": self.message,
            "type": kind,
            "param": self.param,
            "code": self.code,
        }
        headers = {"Retry-After": "10"} if self.status in (429, 503) else None
        return JSONResponse({"error": error}, self.status, headers)
