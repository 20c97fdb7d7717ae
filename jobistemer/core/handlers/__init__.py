"""Handlers: how a function becomes one, its context, its hooks, and what it may raise.

May import `core.runs` and what is below it; a stranger to `core.planning` and `core.reads`.
"""
