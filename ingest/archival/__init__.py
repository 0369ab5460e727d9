"""The archive: questions of old attempts go from rows to files in the blob store (R-ASSESS-5)."""
