"""Read-only questions to the server, for commands, the dashboard, metrics and `doctor`. Nothing here writes.

May import `store.calls` and the layers below it.
"""
