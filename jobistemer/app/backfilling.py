"""The old path of `Backfills`, kept for one release; import it from `jobistemer`."""

import warnings

from jobistemer.control.backfills import Backfills

__all__ = ["Backfills"]

warnings.warn(
    "jobistemer.app.backfilling will go: write `from jobistemer import Backfills`",
    DeprecationWarning,
    stacklevel=2,
)
