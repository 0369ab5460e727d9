"""The learner index: it follows the profiles (R-PEOPLE-1)."""
