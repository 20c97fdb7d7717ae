"""Definitions: jobs, tasks, their options, retries, limits, graph and versions, validated where they are made.

May import `core.schedules` and the modules of `core` itself.
"""
