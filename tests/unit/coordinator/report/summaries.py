"""Summaries and run records for tests, with only the figures that a test names."""

from coordinator.report.expect import STATISTICS
from coordinator.run.parts import Part
from coordinator.run.row import Percentiles
from coordinator.run.summary import AgentSummary, Summary
from coordinator.storage.reader import RunFacts, RunRecord
from loadgen.plan.plan import Plan


def percentiles(**figures):
    """Percentiles of ten values, 0 unless given."""
    return Percentiles(**{"count": 10, **dict.fromkeys(STATISTICS, 0.0)} | figures)


def summary(**figures):
    """The summary of a run that passed, with these figures.

    In all other respects nothing happened.
    """
    return Summary(
        **{
            "schema": 1,
            "verdict": "pass",
            "planned": 0,
            "open_peak": 0,
            "open_peak_most": figures.get("open_peak", 0),
            "open_end": 0,
            "failed": {},
            "closed": {},
            "rate_asked": 0.0,
            "rate_achieved": 0.0,
            "duration_s": 0.0,
            "plateau_s": 0,
            "histograms": {},
            "agents": [],
            "invalid_seconds": [],
            "expectations": [],
        }
        | figures
    )


def part(**figures):
    """A part of ten seconds in which nothing happened, but for these figures."""
    return Part(
        **{
            "begin": 0,
            "end": 9,
            "seconds": 10,
            "invalid_seconds": 0,
            "held": 0,
            "open_peak": 0,
            "open_min": 0,
            "failed": {},
            "closed": {},
            "unexpected": 0,
            "histograms": {},
            "counters": {},
            "timings": {},
        }
        | figures
    )


def agent(name="a"):
    """An agent that did nothing."""
    return AgentSummary(
        name=name,
        status="finished",
        workers=1,
        share=0,
        launched=0,
        opened=0,
        failed={},
        closed={},
        lost=0,
        late=0,
        cpu_s=0.0,
        rss_peak_mb=0.0,
        preflight="",
    )


def record(name, figures, *, plan=None, facts=None):
    """A run directory without rows."""
    return RunRecord(name, figures, [], plan or Plan(), "", facts or RunFacts(), {})
