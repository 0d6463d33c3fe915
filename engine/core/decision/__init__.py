"""Whether to act: the confidence gate, the entry proposal and the position manager."""
