"""`jobistemer top`: what goes on, live in a terminal.

look       one moment, read at a cost that does not grow with what is on record
rates      two moments: what has changed in between, for each second
screen     a moment for a terminal of any size
keyboard   keys and the size of the terminal, while something else is waited for
command    the loop
"""
