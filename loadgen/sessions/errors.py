"""The exceptions that a session's connections, requests and checks raise."""


class ConnectFailed(Exception):
    """The connection could not be opened; the text is the ledger's reason."""


class ConnectionEnded(Exception):
    """The connection is over; the text is the ledger's reason."""


class HttpFailed(Exception):
    """The HTTP request got no reply; the text is the reason that it is counted by."""


class CheckFailed(Exception):
    """The condition of a fatal check was false; the text is the check's name."""
