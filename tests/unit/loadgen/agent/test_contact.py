"""The contact with the coordinator, with the time made by hand."""

from loadgen.agent.contact import STALL, STOP_TIMEOUT, Contact


def test_a_coordinator_is_lost_once_it_is_silent_for_longer_than_the_patience():
    contact = Contact(30.0, 100.0)

    assert (contact.silence(130.0), contact.is_lost(130.0)) == (30.0, False)
    assert contact.is_lost(130.5)
    contact.heard = 120.0
    assert not contact.is_lost(130.5)


def test_an_agent_that_has_to_stop_is_less_patient_and_never_more():
    contact, hasty = Contact(30.0, 0.0), Contact(1.0, 0.0)
    contact.hurry()
    hasty.hurry()

    assert (contact.patience, hasty.patience) == (STOP_TIMEOUT, 1.0)


def test_the_time_in_which_the_agent_itself_stood_still_is_no_silence():
    contact = Contact(30.0, 0.0)

    assert not contact.excuse_own_silence(STALL)
    assert contact.excuse_own_silence(60.0)
    assert contact.silence(60.0) == STALL
