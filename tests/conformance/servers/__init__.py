"""Echo servers of the libraries that people use.

Each takes PORT [CERTIFICATE KEY].
"""
