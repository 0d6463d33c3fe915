"""Whether it may: three tiers of checks, one review, one way to an approval."""
