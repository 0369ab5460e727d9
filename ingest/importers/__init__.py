"""What comes from elsewhere: a sample, OULAD, the platform's own tables."""
