"""Publishing: from an edit form to a live version, in steps that a client can follow (R-COLL-5)."""
