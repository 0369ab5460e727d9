"""What a field or an endpoint answers, a module per noun. GraphQL and REST call the same functions."""
