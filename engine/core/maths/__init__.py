"""Numbers in, numbers out. Knows no trading words."""
