"""The outlets of a run's settled seconds: where each of them goes."""

from collections.abc import Callable
from datetime import UTC, datetime

from coordinator.calibrate import Calibrator
from coordinator.http.server import Server
from coordinator.influx.exporter import Exporter
from coordinator.report.samples import Sampler
from coordinator.run.row import Row
from coordinator.run.run import Run
from coordinator.run.summary import ExportSummary
from coordinator.run.timeline import Entry
from coordinator.settings import RunSettings
from coordinator.storage.writer import RunDir
from coordinator.tsung.log import TsungLog
from loadgen.plan.sessions import Script

OutletState = tuple[float | None, TsungLog | None, int]
"""When second 0 began, tsung.log, and the number of changes that it has."""


class SecondOutlets:
    """Directory, page, tsung.log, exporters and calibration of one run."""

    def __init__(
        self,
        settings: RunSettings,
        run: Run,
        folder: RunDir,
        server: Server,
        calibrator: Calibrator | None,
        wall_time: Callable[[float], float],
        warn: Callable[[str], None],
    ) -> None:
        """`wall_time` turns a time of the run's clock into seconds since 1970.

        `warn` takes a line for the operator.
        """
        self._settings = settings
        self._run = run
        self._folder = folder
        self._server = server
        self._calibrator = calibrator
        self._wall_time = wall_time
        self._second_0: float | None = None
        """The start of second 0 by the wall clock, in seconds since 1970; None until it is set."""
        self._tsung_log: TsungLog | None = None
        self._remarked = 0
        """The number of changes of the plan that tsung.log has."""
        self._sampler = Sampler(settings.plan)
        """Makes the samples of the exporters."""
        self.exporters = [
            Exporter(receiver, folder.path.name, lambda: self._second_0 or 0.0, warn)
            for receiver in settings.export
        ]

    @property
    def state(self) -> OutletState:
        """Its state, for the snapshot of the run."""
        return self._second_0, self._tsung_log, self._remarked

    def go_on(self, state: OutletState) -> None:
        """Goes on from the state of a snapshot."""
        self._second_0, self._tsung_log, self._remarked = state
        if self._second_0 is not None:
            self._folder.go_on(datetime.fromtimestamp(self._second_0, UTC))

    def show_again(self, row: Row) -> None:
        """Gives the page and the exporters a second that is in the run directory."""
        self._server.add_row(row)
        self._export(row)

    def write(self, entry: Entry) -> None:
        """Gives a settled second to each of them."""
        if self._second_0 is None:
            self._second_0 = self._wall_time(self._run.start)
            self._folder.begin(datetime.fromtimestamp(self._second_0, UTC))
        self._folder.write_entry(entry)
        self._server.add_row(entry.row)
        self._log_for_tsung(entry, self._second_0)
        self._export(entry.row)
        if self._calibrator is not None:
            self._calibrator.add(entry.row)

    def _export(self, row: Row) -> None:
        if self.exporters:
            progress = self._run.progress
            sample = self._sampler.take(row, progress.gates, progress.pauses, progress.changes)
            for exporter in self.exporters:
                exporter.add(sample)

    def _log_for_tsung(self, entry: Entry, second_0: float) -> None:
        form = self._settings.tsung_log
        if form == "none":
            return
        if self._tsung_log is None:
            scripted = any(isinstance(spec, Script) for spec in self._settings.plan.session_specs)
            self._tsung_log = TsungLog(form, second_0, scripted=scripted)
        asked = self._run.steering.asked()
        for change in asked[self._remarked :]:
            self._tsung_log.remark(f"asked by hand: {change}")
        self._remarked = len(asked)
        self._folder.write_tsung(self._tsung_log.add(entry))

    def export_summaries(self) -> list[ExportSummary]:
        """Returns what became of the samples of each receiver."""
        return [exporter.summary() for exporter in self.exporters]

    def end(self, wall: float) -> None:
        """Writes what comes last, at a time in seconds since 1970."""
        if self._tsung_log is not None:
            self._folder.write_tsung(self._tsung_log.end(wall))
