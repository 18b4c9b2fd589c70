"""`make examples`: the examples of the documents, played as they are written."""
