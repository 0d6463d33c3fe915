"""What a record of trading is worth: figures with named conventions, and how far they can be told from luck."""
