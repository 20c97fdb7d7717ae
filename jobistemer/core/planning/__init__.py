"""Decisions about due instants: plans, recovery of missed instants, backfills, differences, audit and simulation.

May import `core.runs` and the packages below it; independent of `core.handlers` and `core.reads`.
"""
