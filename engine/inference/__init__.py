"""Asking the served models: one thread, one row, within the deadline or not at all."""
