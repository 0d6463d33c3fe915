"""What may be set: `schema` is pure and typed, `load` reads files and environment."""
