"""What kind of market it is: seven named regimes by a published rule."""
