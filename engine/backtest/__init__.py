"""The past, through the same decisions as live: replay, sweep, and a lean engine for strategies of one's own."""
