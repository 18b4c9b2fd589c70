"""The text of `--dry-run`.

It has the plan, its schedule, each agent's share, and what this machine can hold.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from math import inf

import msgspec

from coordinator.doubts import doubts
from coordinator.local import local_names
from coordinator.preflight import (
    check_proxy,
    check_shares,
    check_sockets,
    check_target,
    ignored_proxy,
)
from coordinator.run.calibration import Member
from coordinator.run.shares import empty_share_error
from coordinator.settings import RunSettings
from coordinator.text import columns, count, one_line, seconds
from loadgen.machine.facts import facts, read_machine
from loadgen.machine.limits import Limit, limiting_resource
from loadgen.plan.clients import weights_of
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.planfile import to_toml
from loadgen.values import DEFAULT_MAX_CONNECTIONS

TUNE_TIMEOUT = 60.0
"""Seconds that `loadgen-tune check` may take."""


def dry_run(settings: RunSettings) -> str:
    """Returns the text of `--dry-run`; raises OperatorError where a run would."""
    plan = settings.plan
    check_shares(plan, settings.agents)
    elsewhere = settings.elsewhere
    proxy = check_proxy(plan, elsewhere=elsewhere)
    targets = [check_target(url, plan.transport.via, elsewhere=elsewhere) for url in plan.urls]
    if settings.local:
        check_sockets(targets)
    shares = expected_shares(plan, settings.agents, settings.local)
    shown = plan.redacted()  # what a terminal shows is copied into tickets
    parts = [
        to_toml(shown).decode().rstrip(),
        "\n".join(
            [
                *(f"target {target}" for target in targets),
                *([f"proxy {shown.transport.proxy} is {proxy.where}"] if proxy else []),
            ]
        ),
        *(one.unresolved for one in filter(None, [*targets, proxy]) if one.unresolved),
        *filter(None, [ignored_proxy(plan, os.environ)]),
        *describe_plan(shown),
        *_tls(settings),
        _table(["agent", "connections"], [[name, count(share)] for name, share in shares]),
    ]
    if settings.local:
        dialed = [one if proxy is None else proxy for one in targets if not one.path]
        # Of a host that only the agents elsewhere resolve, one address is assumed.
        addresses = min((len(one.addresses) or 1 for one in dialed), default=0)
        parts.append(_preflight(max(share for _, share in shares), addresses, tls=plan.secure))
    if settings.local >= settings.agents:  # of agents elsewhere nothing is known yet
        parts.extend(_doubts(settings, dict(shares)))
    return "\n\n".join(parts)


def describe_plan(plan: Plan) -> Iterator[str]:
    """Yields the tables of phases, sessions and targets, and the end of the plan."""
    yield _table(["phase", "from", "to", "arrivals", "rate", "besides"], _phases(plan))
    if plan.sessions:
        yield _table(
            ["session", "users"],
            [[name, f"{part:.2%}"] for name, part in session_parts(plan).items()],
        )
    if plan.targets:
        whole = sum(target.weight for target in plan.targets)
        yield _table(
            ["target", "users"],
            [[target.url, f"{target.weight / whole:.2%}"] for target in plan.targets],
        )
    yield f"{_arrived(plan)}, {_drained(plan)}"


def _tls(settings: RunSettings) -> Iterator[str]:
    """Yields what connections to wss:// targets trust and show."""
    plan, credentials = settings.plan, settings.credentials
    if not plan.secure:
        return
    trusted = "the system's authorities"
    if plan.insecure:
        trusted = "ANY CERTIFICATE, so any server may answer (--insecure, tls_verify = false)"
    elif credentials.ca:
        trusted = f"the authorities in {plan.transport.tls_ca}"
    pairs = len(credentials.pairs)
    shown = f"{count(pairs)} certificates, one a user" if pairs > 1 else "one certificate"
    yield f"TLS trusts {trusted}, and shows {shown if pairs else 'no certificate'}"


def session_parts(plan: Plan) -> dict[str, float]:
    """Returns the expected part of all users of each session, by its name.

    A phase without a mix of sessions has the plan's.
    """
    parts = dict.fromkeys((spec.name for spec in plan.session_specs), 0.0)
    default = {spec.name: spec.weight for spec in plan.session_specs}
    mixes = [phase.sessions or default for phase in plan.phases] or [default]
    for mix, span in zip(mixes, plan.schedule.spans, strict=True):
        for name, weight in mix.items():
            parts[name] += weight / sum(mix.values()) * span.planned / plan.total
    return parts


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(columns([head, *rows]))


def _phases(plan: Plan) -> list[list[str]]:
    """Returns a row for each phase: its time, its arrivals, and its further effects."""
    phases = plan.phases or (Phase(rate=plan.rate, max=plan.max),)
    return [
        [
            name,
            *(_time(span.gate, at) for at in (span.begin, span.end)),
            count(span.planned),
            _rate(phase),
            _other(phase),
        ]
        for name, span, phase in zip(plan.phase_names, plan.schedule.spans, phases, strict=True)
    ]


def _time(gate: int, after: float) -> str:
    """Returns a time `after` seconds from the start, or from a gate.

    A gate opens at an unknown time.
    """
    return f"gate {gate} + {seconds(after)}" if gate else seconds(after)


def _rate(phase: Phase) -> str:
    first, last = f"{phase.rate:,.6g}/s", f"{phase.last_rate:,.6g}/s"
    return (
        "–"
        if not (phase.rate or phase.last_rate)
        else first
        if phase.is_steady
        else f"{first} to {last}"
    )


def _other(phase: Phase) -> str:
    mix = ", ".join(f"{name} {weight:g}" for name, weight in phase.sessions.items())
    texts = {
        f"sessions {mix}": phase.sessions,
        "ended users come back": phase.keep,
        f"{phase.churn:,.6g}/s are replaced": phase.churn,
        f"{100 * phase.storm:.6g} % are cut and back within {phase.jitter:g} s": phase.storm,
        "waits for all sessions": phase.wait,
    }
    return "; ".join(text for text, applies in texts.items() if applies)


def _arrived(plan: Plan) -> str:
    schedule = plan.schedule
    if not plan.phases:
        return f"last arrival after {seconds(schedule.end())}"
    return (
        f"last phase over {'at' if schedule.gates > 1 else 'after'}"
        f" {_time(schedule.gates - 1, schedule.end())}"
    )


def _drained(plan: Plan) -> str:
    drained = plan.drain_at()
    if drained < inf:
        return f"drained after {seconds(drained)}"
    return (
        "over with the last session"
        if plan.hold == "sessions"
        else f"drained {seconds(plan.hold)} later"
    )


def expected_shares(plan: Plan, agents: int, local: int = 0) -> list[tuple[str, int]]:
    """Returns the name and the connections of each agent.

    The agents are taken to be those that the plan names, and equal ones besides. Raises PlanError
    when the share of one would be empty.
    """
    names = _names(plan, agents, local)
    shares = Share().split(
        weights_of(plan.clients, [(name, DEFAULT_MAX_CONNECTIONS) for name in names])
    )
    counts = [share.count(plan.total) for share in shares]
    found = list(zip(names, counts, strict=True))
    idle = [name for name, number in found if number == 0]
    if idle:
        raise empty_share_error(idle, plan, agents)
    return found


def _names(plan: Plan, agents: int, local: int) -> list[str]:
    named = [*local_names(local), *(client.name for client in plan.clients)]
    known = list(dict.fromkeys(named if plan.clients else []))[:agents]
    return known + [f"agent {number}" for number in range(len(known) + 1, agents + 1)]


def _doubts(settings: RunSettings, shares: dict[str, int]) -> list[str]:
    """Returns a line for each rate of the plan that local agents may not reach."""
    machine = facts(read_machine())
    members = [Member.of(name, machine) for name in local_names(settings.agents)]
    parts = {
        member.name: share / settings.plan.total
        for member, share in zip(members, shares.values(), strict=True)
    }
    return doubts(settings.plan, settings.out, members, parts)


class PreflightResult(msgspec.Struct):
    """The fields of what `loadgen-tune check --json` prints that are read."""

    holds: int
    ok: bool
    limits: list[Limit]


def _preflight(share: int, addresses: int, *, tls: bool) -> str:
    """Returns the preflight of this machine for the largest share of a local agent.

    `addresses` is the number of addresses of the target; 0: it is a Unix socket.
    """
    command = [sys.executable, "-m", "loadgen.cli.tune", "check", "--json"]
    command += ["--connections", str(share), *(["--tls"] if tls else [])]
    command += ["--target-addresses", str(addresses)]
    try:
        checked = subprocess.run(command, capture_output=True, timeout=TUNE_TIMEOUT, check=False)  # noqa: S603 -- ours
        finding = msgspec.json.decode(checked.stdout, type=PreflightResult)
    except subprocess.TimeoutExpired:
        return f"preflight: loadgen-tune check did not answer within {TUNE_TIMEOUT:.0f} s"
    except msgspec.DecodeError:
        return (
            "preflight: loadgen-tune check failed:"
            f" {one_line(checked.stderr.decode(errors='replace'))}"
        )
    first = limiting_resource(finding.limits)
    assert first is not None, "a check that succeeds has measured something"
    verdict = "holds" if finding.ok else f"holds {count(finding.holds)} of"
    return (
        f"preflight: this machine {verdict} a local agent's share of {count(share)}, limited by"
        f" {first.resource} ({first.detail}); {first.fix}"
    )
