"""The headline run with both ends on this machine: `make million`.

It checks its claims.
"""
