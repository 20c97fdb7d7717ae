"""The producer: `python produce.py on_rq`. The adapter is imported by its name, which is part of a task's name in some peers."""

from __future__ import annotations

import importlib
import sys

importlib.import_module(sys.argv[1]).produce()
