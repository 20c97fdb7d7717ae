"""The command line: `jobistemer`, `jobistemer-worker` and `jobistemer-ticker`; in `commands`, a file for each noun."""

from jobistemer.cli.root import main

__all__ = ["main"]
