"""Answers why, from records only: an explanation is computed, then worded, then checked against the journal again."""
