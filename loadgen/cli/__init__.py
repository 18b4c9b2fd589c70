"""The commands: each parses its options into one value and makes one call."""
