"""Learning from the past, and saying how well it would have gone. The only room that knows xgboost."""
