"""Hypothesis strategies for plans of all kinds."""

from hashlib import sha256

from hypothesis import strategies as st

from loadgen.plan.clients import AgentSpec
from loadgen.plan.compress import Compress
from loadgen.plan.phases import MAX_ARRIVALS, MAX_NUMBER, Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.script import Connect, Foreach, Send, Think
from loadgen.plan.sessions import MIN_THINK, Loop, PythonSession, Script
from loadgen.plan.transport import Transport

SOURCE = 'async def session(user):\n    await user.think(1)  # \u2026 "quoted"\n'
SHA256 = sha256(SOURCE.encode()).hexdigest()
positive = st.floats(min_value=0, exclude_min=True, max_value=MAX_NUMBER)
weights = st.floats(0.1, 100)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_printed = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
urls = st.integers(1, 65_535).map("ws://127.0.0.1:{}/v1/realtime?channels[]=files".format)
_names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
phases = st.one_of(
    st.builds(
        Phase, name=words, rate=st.floats(1, 100), max=st.integers(1, 500), wait=st.booleans()
    ),
    st.builds(
        Phase,
        rate=st.floats(0, 9),
        rate_to=st.floats(0, 9),
        duration=st.floats(1, 9),
        keep=st.booleans(),
    ),
    st.builds(
        Phase,
        duration=st.floats(5, 9),
        storm=st.floats(0.1, 1),
        jitter=st.floats(0, 5),
        churn=weights,
    ),
)
think_times = st.floats(MIN_THINK, MAX_NUMBER)
_steps = (
    Connect(path="/x", headers={"A": "b"}),
    Foreach(var="x", values="xs", steps=(Send(text="%%_x%%", subst=True),)),
    Think(seconds=2.5, random=True),
)
session_specs = st.one_of(
    st.builds(
        Loop, name=_names, weight=weights, think=think_times, ping=st.sampled_from(("app", "none"))
    ),
    st.builds(
        PythonSession, name=_names, file=_names, source=st.just(SOURCE), sha256=st.just(SHA256)
    ),
    st.builds(Script, name=_names, read_rate=weights, steps=st.just(_steps)),
)
_free = st.builds(
    Plan,
    target=urls,
    rate=positive,
    max=st.integers(1, MAX_ARRIVALS),
    arrival=st.sampled_from(("uniform", "poisson")),
    seed=st.integers(-(2**63), 2**63 - 1),
    hold=st.floats(min_value=0, max_value=MAX_NUMBER) | st.just("sessions"),
    stop_after=st.floats(min_value=0, max_value=MAX_NUMBER),
    think=think_times,
    grain=st.sampled_from(("auto", "1ms", "5ms", "50ms")),
    loops=st.integers(0, MAX_ARRIVALS),
    ping=st.sampled_from(("protocol", "app", "none")),
    clients=st.lists(
        st.builds(AgentSpec, name=_names, weight=weights),
        max_size=2,
        unique_by=lambda client: client.name,
    ).map(tuple),
    files=st.dictionaries(_names, words, max_size=2),
    params=st.dictionaries(
        st.from_regex(r"p[a-z0-9_]{0,8}", fullmatch=True),
        words | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9),
        max_size=3,
    ),
    expect=st.lists(words, max_size=2).map(tuple),
    transport=st.builds(
        Transport,
        receive_buffer=st.integers(0, 2**20),
        headers=st.dictionaries(_names.map("X-{}".format), _printed),
        compress=st.booleans() | st.builds(Compress, client_no_context_takeover=st.booleans()),
    ),
)
_several = st.builds(
    Plan,
    phases=st.lists(phases, max_size=4).map(lambda found: (Phase(rate=1.0, max=1), *found)),
    sessions=st.lists(session_specs, max_size=3, unique_by=lambda one: one.name).map(tuple),
    targets=st.lists(
        st.builds(Target, url=urls, weight=weights), max_size=3, unique_by=lambda one: one.url
    ).map(tuple),
)
plans = _free | _several
