"""The settings, frozen and typed, one section a room. No input or output happens here."""
