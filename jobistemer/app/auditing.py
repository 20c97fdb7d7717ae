"""The old path of `audit_jobs`, kept for one release; import it from `jobistemer`."""

import warnings

from jobistemer.control.audit import audit_jobs

__all__ = ["audit_jobs"]

warnings.warn(
    "jobistemer.app.auditing will go: write `from jobistemer import audit_jobs`",
    DeprecationWarning,
    stacklevel=2,
)
