"""What is due and what becomes of it: plans, recovery of missed instants, backfills, differences, audit and simulation.

May import `core.runs` and what is below it; a stranger to `core.handlers` and `core.reads`.
"""
