"""Runs and their ends: the message, the records, what an outcome means, results and reports.

May import `core.jobs` and what is below it.
"""
