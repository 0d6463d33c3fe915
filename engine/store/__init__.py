"""What outlives the process: the journal, the halt row, trained models."""
