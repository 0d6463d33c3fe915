"""Where orders go: one adapter a venue. They do not know each other."""
