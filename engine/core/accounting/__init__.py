"""What we own and what it earned: the fold from records to the state of the desk."""
