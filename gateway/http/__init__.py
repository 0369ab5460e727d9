"""What Cohort does about HTTP itself, the same for GraphQL and REST: errors, limits, conditional requests, disconnects."""
