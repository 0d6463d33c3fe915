"""How: approved targets become orders, and orders meet bars in the simulated book."""
