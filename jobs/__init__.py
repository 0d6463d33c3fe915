"""Starts things: the only floor that knows concrete classes."""
