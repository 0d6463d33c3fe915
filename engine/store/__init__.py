"""What outlives the process: the journal, the halt row, snapshots, trained models."""
