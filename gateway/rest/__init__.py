"""The platform's REST calls, on the same resolvers as the schema, for clients that have not moved.

`framework/` has what every call shares, `nouns/` a module or folder for each noun, `routes.py` the list of all endpoints.
"""
