"""The commands of `jobistemer`, a module for each noun, and the entry points of its processes.

A command reads its options, calls `control`, `app` or `store.reads`, and prints. It may import all of the package;
nothing imports it.
"""
