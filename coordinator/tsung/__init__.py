"""Tsung's XML taken as it is: a configuration in, a Plan and a list of notes out
(docs/from-tsung.md)."""
