"""Finding the app under test for the pytest plugin, in the same places as the command line."""

from __future__ import annotations

import os

from jobistemer.app import Jobistemer
from jobistemer.app.loading import load_app
from jobistemer.core.errors import Misconfigured


def find_app(reference: str) -> Jobistemer:
    """Load the app of the ini option, else of JOBISTEMER_APP, else of `[tool.jobistemer] app`. Raises Misconfigured."""
    try:
        return load_app(reference or os.environ.get("JOBISTEMER_APP"), None, None)
    except Misconfigured as error:
        raise Misconfigured(
            f"{error}\nfor tests it can also be the ini option jobistemer_app, or what a fixture jobistemer_app returns"
        ) from error
