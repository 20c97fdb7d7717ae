"""Size limits of the payloads and results of an app."""

from __future__ import annotations

import msgspec

from jobistemer.core.checks import check_range
from jobistemer.core.errors import InvalidDefinition

DEFAULT_BYTES = 256 * 1024
DEFAULT_LOG_BYTES = 64 * 1024
"""How many bytes of log lines and progress of one attempt are kept together, in their stored form."""
LARGEST_BYTES = 64 * 1024 * 1024


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in bytes of JSON. Larger values are better stored elsewhere and passed by reference.

    Raises InvalidDefinition for values out of range.
    """

    payload_bytes: int = DEFAULT_BYTES
    result_bytes: int = DEFAULT_BYTES

    def __post_init__(self) -> None:
        check_range("payload_bytes", self.payload_bytes, 2, LARGEST_BYTES, InvalidDefinition)
        check_range("result_bytes", self.result_bytes, 2, LARGEST_BYTES, InvalidDefinition)


DEFAULT_SIZES = Sizes()
