"""The command line: `jobistemer`, `jobistemer-worker` and `jobistemer-ticker`; in `commands`, a file for each noun."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobistemer.cli.root import main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """Import `main` on its first use: workers and tickers do without the table of all commands."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jobistemer.cli.root import main  # noqa: PLC0415 - as above

    return main
