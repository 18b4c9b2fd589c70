"""A fleet under churn for half an hour, in which no process may grow.

The command is `make soak`.
"""
