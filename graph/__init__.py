"""The GraphQL schema: types, inputs, enums and thin fields."""
