"""The only door to Redis: keys, scripts and the calls that are made of them.

A script call is a value (`scripts.Call`): the modules here make calls, `database.Database` executes them,
one by one, two hundred in a pipeline, or awaited.
"""
