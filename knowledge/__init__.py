"""What the desk remembers beside its records: the handbook, read by people and, later, by the index."""
