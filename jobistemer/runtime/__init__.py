"""Processes, threads and signals, which all roles share: start, supervision, health, repetition, shutdown and logging.

May import `core`.
"""
