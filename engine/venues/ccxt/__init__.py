"""Spot accounts over REST, through ccxt: orders, look-ups, the account, and candles. Nobody else imports ccxt."""
