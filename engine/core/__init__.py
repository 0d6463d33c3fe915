"""Everything that decides. Same inputs, same outputs; no clock, chance, files or network."""
