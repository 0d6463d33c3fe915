"""What a user does, from the command line to the answer."""
