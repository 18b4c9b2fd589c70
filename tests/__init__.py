"""The tests: `unit` mirrors the code, `integration` runs real processes.

`bench` stands outside the gate.
"""
