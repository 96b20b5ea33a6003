"""How much a server takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may ask for.

    Attributes:
        megabytes: largest upload (10^6 bytes, the form's other fields included).
        minutes: longest recording.
        waiting: requests that may wait while one is transcribed.
        upload_seconds: how long an upload may take to arrive.
    """

    megabytes: float = 200.0
    minutes: float = 60.0
    waiting: int = 8
    upload_seconds: float = 300.0

    @property
    def upload_bytes(self) -> int:
        """Largest request body."""
        return round(self.megabytes * 1e6)

    @property
    def seconds(self) -> float:
        """Longest recording."""
        return self.minutes * 60.0
