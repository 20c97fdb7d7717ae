"""Whether the dashboard can be served here; it imports nothing of it, so that others can ask."""

from __future__ import annotations

import importlib.util
from typing import Final

REQUIRED_MODULES: Final = ("starlette", "uvicorn", "jinja2", "itsdangerous")
"""The modules of the extra `dashboard`."""
DEFAULT_PORT: Final = 8787


def is_installed() -> bool:
    """Return whether the extra `dashboard` is installed."""
    return all(importlib.util.find_spec(each) is not None for each in REQUIRED_MODULES)
