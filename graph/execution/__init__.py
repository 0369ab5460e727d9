"""From a document to an answer: what is compiled of an operation, how fields are read without a call for each, and how JSON is
written. Nothing here knows a noun of the schema.
"""
