"""`jobistemer top`: what happens in a namespace, live in a terminal.

snapshot   one moment, read at a cost that does not grow with the number of records
rates      two snapshots: what has changed between them, per second
screen     a snapshot and its rates as tables for a terminal of any size
monitor    the latest read, and the call that reads
live_view  the loop: the keys, and calls to the server beside them
command    the command
"""
