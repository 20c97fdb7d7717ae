"""`jobistemer top`: what happens in a namespace, live in a terminal.

snapshot   one moment, read at a cost that does not grow with the number of records
rates      two snapshots: what has changed between them, per second
screen     a snapshot and its rates as tables for a terminal of any size
command    the loop, and the keys
"""
