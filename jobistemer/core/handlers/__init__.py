"""Handlers: how a function becomes one, its context, its hooks, and the errors it may raise.

May import `core.runs` and what is below it, not `core.planning` or `core.reads`.
"""
