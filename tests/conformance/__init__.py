"""Conformance: Autobahn's cases, and the servers that people run."""
