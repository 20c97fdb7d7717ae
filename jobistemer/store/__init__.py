"""The only package that knows Redis: its keys, its scripts, and the calls that are built from them.

A call of a script is a value (`scripts.Call`): `calls` builds it, `database.Database` executes it, alone or with others
in one pipeline, and `async_database.AsyncDatabase` awaits it.
"""
