"""The old path of `Alert`, kept for one release; import it from `jobistemer`."""

import warnings

from jobistemer.core.jobs.alert import Alert

__all__ = ["Alert"]

warnings.warn(
    "jobistemer.core.alerts will go: write `from jobistemer import Alert`",
    DeprecationWarning,
    stacklevel=2,
)
