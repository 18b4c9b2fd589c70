"""`python -m tests.small_journal`: a coordinator whose journal is soon long."""

from coordinator.cli.coord import main
from coordinator.storage import journal

if __name__ == "__main__":
    journal.MAX_TAIL, journal.SNAPSHOT_SHARE = 4000, 0
    main()
