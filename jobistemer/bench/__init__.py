"""`jobistemer bench`: what this machine and this server do together, in a namespace that is emptied afterwards.

tasks      the app whose runs are measured
roles      the processes beside the one that measures: a worker that drains, a worker that serves, a ticker
venue      the namespace: taken when it is empty, emptied at the end
gauge      what the server says of itself, and what its work costs
machine    what the figures depend on besides
measures   the work, one function for each kind
figures    what is measured, as values
program    all of it in order, within a time
paper      the figures for people
"""
