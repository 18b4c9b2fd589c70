"""The coordinator: gathers agents, shards the load over them, records the run.

It settles every second and writes the run directory.
"""
