"""The exceptions that a session's connections raise."""


class ConnectFailed(Exception):
    """The connection could not be opened; the text is the ledger's reason."""


class ConnectionEnded(Exception):
    """The connection is over; the text is the ledger's reason."""
