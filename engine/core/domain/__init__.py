"""Nouns only: frozen values that encode themselves, identifiers and errors."""
