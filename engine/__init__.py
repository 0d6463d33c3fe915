"""The trading engine: a pure core, the ports to the outside, and the rooms of the shell around them."""
