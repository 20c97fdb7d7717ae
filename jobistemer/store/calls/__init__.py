"""Calls as values: a script or command with its keys, its arguments and how its reply is read.

May import `store.keys`, `store.scripts`, `store.database` and `store.server`.
"""
