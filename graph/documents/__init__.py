"""What a document may be: how large, how deep, how dear; whether it is valid, and what of it is kept for the next request."""
