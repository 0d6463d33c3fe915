"""Opinions: features in, one signed score a model out. Models do not know each other."""
