"""Decisions that were recorded once and must come out the same for ever, or be changed on purpose."""
