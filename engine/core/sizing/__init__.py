"""How much: every step between the wish and the rounded quantity is recorded."""
