"""The commands of the coordinator: options in, one call."""
