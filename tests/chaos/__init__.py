"""Real processes, really killed: the desk, the exchange and what happens to them."""
