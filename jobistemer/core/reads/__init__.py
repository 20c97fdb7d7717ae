"""Values for people and monitoring: summaries, findings of `doctor`, metrics, the state of a cluster.

May import `core.runs` and what is below it, not `core.handlers` or `core.planning`.
"""
