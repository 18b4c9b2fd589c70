from tests.peers.figures import Figures


def test_figures_of_three_runs_become_those_of_a_peer():
    silent = Figures(open=9, failed=1, open_us=50)
    pinging = Figures(failed=2, ping_us=10, pings=5, words="dead")
    flat_out = Figures(failed=4, flat_out=900, flat_us=40)

    assert silent.merged(pinging, flat_out) == Figures(
        open=9, failed=7, open_us=50, flat_out=900, flat_us=40, ping_us=10, pings=5, words="dead"
    )
