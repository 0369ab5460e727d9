"""What a mutation or a call of the platform does, one module a noun."""
