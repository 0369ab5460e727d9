"""What the tracking modes add to a call: strict mode adds nothing."""
