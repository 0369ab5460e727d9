"""A list of enrolments is read and written as narrow rows. It answers as the whole objects do, field by field."""
