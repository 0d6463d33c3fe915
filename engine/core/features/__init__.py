"""Named numbers about bars, free of the scale of price and volume: the same function learns, tests and trades."""
