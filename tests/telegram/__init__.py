"""Telegram as the bot meets it: its API on this machine, with its limits, its words and its failures."""
