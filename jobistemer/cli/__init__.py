"""The command line: `jobistemer`, `jobistemer-worker` and `jobistemer-ticker`. One file per noun."""

from jobistemer.cli.root import main

__all__ = ["main"]
