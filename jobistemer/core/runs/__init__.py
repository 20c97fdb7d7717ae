"""Runs and their ends: the message, the records, the meaning of an outcome, results and reports.

May import `core.jobs` and what is below it.
"""
