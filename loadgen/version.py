"""The version of the distribution.

The changelog's top entry is checked against it.
"""

VERSION = "0.1.0"
