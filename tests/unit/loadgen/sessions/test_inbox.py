"""The messages that wait for a session: in order, and bounded."""

from loadgen.sessions.inbox import MAX_UNREAD, MAX_UNREAD_BYTES, Inbox


def test_an_inbox_holds_a_bounded_number_of_bytes():
    inbox = Inbox()
    quarter = "ü" * (MAX_UNREAD_BYTES // 8)
    for number in range(4):
        assert inbox.keep(quarter) == 0, number
    assert inbox.size == MAX_UNREAD_BYTES
    assert inbox.keep(b"x") == 1
    assert inbox.keep(bytes(MAX_UNREAD_BYTES)) == 4
    assert inbox.keep(bytes(MAX_UNREAD_BYTES + 1)) == 1
    assert inbox.take() == bytes(MAX_UNREAD_BYTES + 1)
    assert inbox.size == 0
    inbox.keep("x")
    inbox.empty()
    assert (len(inbox), inbox.size) == (0, 0)


def test_an_inbox_holds_a_bounded_number_of_messages():
    inbox = Inbox()

    assert [inbox.keep("x") for _ in range(MAX_UNREAD)] == [0] * MAX_UNREAD
    assert inbox.keep("y") == 1
    assert (len(inbox), inbox.size) == (MAX_UNREAD, MAX_UNREAD)


def test_a_message_that_was_not_received_is_the_next_again():
    inbox = Inbox()
    for message in ("first", b"second"):
        inbox.keep(message)
    inbox.put_back(inbox.take())

    assert [inbox.take(), inbox.take()] == ["first", b"second"]
    assert inbox.size == 0
