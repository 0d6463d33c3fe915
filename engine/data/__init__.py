"""Where bars come from when nobody is trading: files, what ships with the demo, and both of them replayed."""
