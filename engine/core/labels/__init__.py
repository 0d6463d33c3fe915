"""What came of it: labels and weights for training. They look ahead, so nothing that decides may import them."""
