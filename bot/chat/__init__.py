"""Chats: where messages come from and replies go. One port, one file for each platform."""
