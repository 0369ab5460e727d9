"""The pages for a browser: the start page, GraphiQL, and the reference of REST."""
