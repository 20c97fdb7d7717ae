"""The parts of a wait for a signal: the types of signals, and reminders."""
