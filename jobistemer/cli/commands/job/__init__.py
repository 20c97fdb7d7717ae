"""The commands of `jobistemer job` and `jobistemer backfill`. May import what other commands may."""
