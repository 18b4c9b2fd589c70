"""Injected truths beside what loadgen reports: `make truth`."""
