"""One module for each peer: where it comes from, and its command line."""
