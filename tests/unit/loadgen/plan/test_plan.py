import re
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.plan.clients import AgentSpec
from loadgen.plan.feeder import Feeder
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target, plan_of
from loadgen.plan.publish import Publish
from loadgen.plan.reply import AutoReply
from loadgen.plan.schedule import PhasedSchedule, Schedule
from loadgen.plan.script import Change, Connect
from loadgen.plan.sessions import MAX_FILES, Loop, PythonSession, Script, SessionFile
from loadgen.plan.setup import SetupSpec
from loadgen.plan.shares import Share
from loadgen.plan.transport import Transport
from loadgen.planfile import to_toml
from loadgen.wire import from_wire, to_wire
from tests.unit.plans import plans

ROOT = Path(__file__).parents[4]


@given(plans)
def test_a_plan_survives_the_wire(plan):
    assert from_wire(to_wire(plan), Plan) == plan


def test_the_defaults_are_the_reference_run():
    plan = Plan()

    assert (plan.rate, plan.max, plan.hold, plan.think, plan.loops) == (
        2000,
        1_000_000,
        60,
        30,
        1000,
    )
    assert (plan.arrival, plan.ping) == ("uniform", "protocol")
    assert plan.target == "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"


def test_the_targets_are_read_from_servers_only():
    """A plan with `targets` has the default `target`, which it never connects to."""
    home = {"loadgen/plan/plan.py", "loadgen/planfile.py"}

    readers = {
        path.relative_to(ROOT).as_posix()
        for package in ("loadgen", "coordinator")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\bplan\.target\b", path.read_text())
    }

    assert readers - home == set()


def test_a_plan_of_options():
    assert plan_of({"rate": 5, "max": 10, "ping": "none"}) == Plan(rate=5.0, max=10, ping="none")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate": -1.0}, "--rate"),
        ({"hold": "long"}, "--hold"),
        ({"ping": "loud"}, "--ping"),
        ({"think": None}, "--think"),
        ({"think": 0.0009}, ">= 0.001"),
        ({"grain": "2ms"}, "--grain"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_wrong_option_is_named(options, named):
    with pytest.raises(PlanError) as caught:
        plan_of(options)

    assert named in str(caught.value)


def test_the_schedule_has_the_values_of_the_plan():
    assert Plan(rate=7.0, max=11, arrival="poisson", seed=3).schedule == Schedule(
        7.0, 11, poisson=True, seed=3
    )
    assert Plan(rate=7.0, max=11).schedule == Schedule(7.0, 11, poisson=False, seed=0)


def test_the_plateau_is_held_from_the_last_arrival():
    """1,000 connections at 100/s: the last one is due at 9.99 s."""
    assert Plan(rate=100.0, max=1000, hold=60.0).drain_at() == pytest.approx(69.99)
    assert Plan(max=1, hold=0.0).drain_at() == 0


def test_a_plan_with_phases_is_held_from_the_end_of_the_last_one():
    plan = Plan(phases=(Phase(rate=10, max=20), Phase(duration=5.0)), hold=60.0)

    assert plan.total == 20
    assert plan.schedule == PhasedSchedule(plan.phases)
    assert plan.drain_at() == 67.0


def test_the_end_is_unknown_before_the_last_gate_has_opened():
    plan = Plan(phases=(Phase(rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=60.0)

    assert plan.drain_at() == inf
    assert plan.drain_at((100.0,)) == 162.0
    assert replace(plan, stop_after=50.0).drain_at() == 50.0


def test_a_run_may_last_as_long_as_its_sessions_but_at_most_stop_after():
    assert Plan(hold="sessions").drain_at() == inf
    assert Plan(hold="sessions", stop_after=90.0).drain_at() == 90.0
    assert Plan(rate=100.0, max=1000, stop_after=3600.0).drain_at() == pytest.approx(69.99)


def test_the_plateau_is_held_from_the_last_poisson_arrival():
    plan = Plan(rate=100.0, max=1000, hold=60.0, arrival="poisson", seed=5)
    *_, (_, last) = plan.schedule.dues(Share())

    assert plan.drain_at() == last + 60


USERS = Loop(name="users")
UNUSABLE = {
    "a phase without an end": (
        {"phases": (Phase(rate=5),)},
        "`phases[0]` needs a `duration`, or a `rate` and a `max`",
    ),
    "a hold without an end": (
        {"phases": (Phase(rate=5, max=5), Phase())},
        "`phases[1]` needs a `duration`",
    ),
    "a ramp without an end": (
        {"phases": (Phase(rate=5, rate_to=9, max=5),)},
        "`phases[0].rate_to` needs a `duration`",
    ),
    "a storm without an end": (
        {"phases": (Phase(rate=5, max=5, storm=0.5),)},
        "`phases[0].storm` needs a `duration`",
    ),
    "a storm that outlasts its phase": (
        {"phases": (Phase(rate=5, max=5), Phase(duration=5, storm=0.5, jitter=6))},
        "`phases[1].jitter` is longer than the phase's `duration`",
    ),
    "jitter of nothing": (
        {"phases": (Phase(rate=5, duration=5, jitter=1),)},
        "`phases[0].jitter` has no effect",
    ),
    "a bound of nothing": (
        {"phases": (Phase(duration=5, max=1),)},
        "`phases[0].max` has no effect without a `rate`",
    ),
    "too many": (
        {"phases": (Phase(rate=1e300, duration=1e300),)},
        "`phases[0].rate` brings inf connections",
    ),
    "nobody at all": (
        {"phases": (Phase(rate=0.1, duration=1),)},
        "`phases` bring no connection at all",
    ),
    "a mix of strangers": (
        {"phases": (Phase(rate=5, max=5, sessions={"loop": 1, "uers": 1}),), "sessions": (USERS,)},
        "`phases[0].sessions.loop` is none of the plan's sessions: users",
    ),
    "two sessions of one name": (
        {"sessions": (USERS, USERS)},
        "`sessions[1].name` is 'users' a second time",
    ),
    "a target twice": (
        {"targets": (Target(url="ws://a/"),) * 2},
        "`targets[1].url` is 'ws://a/' a second time",
    ),
    "targets that nobody begins with": (
        {"targets": (Target(url="ws://a/", weight=0),)},
        "`targets` have no `weight`",
    ),
    "a publication that nobody recognises": (
        {"publish": Publish(body="plain")},
        "`publish.body` has no {{stamp}}",
    ),
    "subscribers of no session": (
        {"publish": Publish(sessions=("loop", "users"))},
        "`publish.sessions` names 'users'; the plan's sessions are loop",
    ),
    "a publisher without a URL to a Unix socket": (
        {"publish": Publish(), "targets": (Target(url="ws+unix:///run/app.sock"),)},
        "`publish.url` is needed where the first target is a Unix socket",
    ),
    "publishers of no session": (
        {"publish": Publish(by="session"), "sessions": (USERS,)},
        "`publish.by` is `session`, but no session is in Python",
    ),
    "a plateau without publications": (
        {"publish": Publish(begin="plateau", grace=9), "hold": 9},
        "`publish.begin` is `plateau`, but nothing is sent in the last 9 s of the hold of 9 s",
    ),
    "a client twice": (
        {"clients": (AgentSpec(name="a"),) * 2},
        "`clients[1].name` is 'a' a second time",
    ),
}


@pytest.mark.parametrize(("values", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_plan_that_cannot_be_run_is_refused(values, words):
    with pytest.raises(PlanError) as caught:
        Plan(**values)

    assert str(caught.value).startswith(words)


def test_overruled_keys_are_known():
    assert Plan().overruled == set()
    assert Plan(phases=(Phase(rate=1, max=1),), sessions=(USERS,)).overruled == {
        "rate",
        "max",
        "think",
        "loops",
        "ping",
    }
    assert Plan(targets=(Target(url="ws://a/"),)).overruled == {"target"}


def test_the_built_in_loop_may_be_named_in_a_phase():
    plan = Plan(phases=(Phase(rate=1, max=1, sessions={"loop": 1.0}),), think=5.0)

    assert plan.session_specs == (Loop(name="loop", think=5.0),)


def test_a_redacted_plan_has_the_names_of_headers_and_files_without_their_texts():
    plan = Plan(
        transport=Transport(headers={"Authorization": "Basic c2VjcmV0"}),
        files={"users": "me;secret\n"},
        publish=Publish(
            headers={"X-Api-Key": "secret"}, body={"key": "secret", "data": {"at": "{{stamp}}"}}
        ),
    )
    shown = to_toml(plan.redacted()).decode()

    assert "Authorization" in shown
    assert "users" in shown
    assert "X-Api-Key" in shown
    assert "c2VjcmV0" not in shown
    assert "secret" not in shown


def test_a_mistake_in_a_reply_is_named_with_its_session_and_place():
    replies = (AutoReply(send="x", match="a"), AutoReply(match="a"))
    with pytest.raises(PlanError, match=r"`sessions\[0\]\.reply\[1\]\.send` is empty"):
        Plan(sessions=(Loop(name="a", reply=replies),))


def test_a_mistake_in_the_transport_is_named_with_its_path():
    with pytest.raises(PlanError, match=r"`transport\.proxy_protocol` is 3; write 1"):
        Plan(transport=Transport(proxy_protocol=3))


def test_a_plan_with_a_wss_url_is_secure_and_insecure_without_verification():
    trusting = Transport(tls_verify=False)
    secure, plain = "wss://a.test/", "ws://a.test/"
    two = (Target(url=plain), Target(url="WSS://b.test/"))

    assert [Plan(target=url).secure for url in (secure, plain)] == [True, False]
    assert Plan(targets=two).secure
    assert not Plan(target=secure).insecure
    assert Plan(target=secure, transport=trusting).insecure
    assert not Plan(target=plain, transport=trusting).insecure


def test_agents_get_the_plan_without_the_headers_of_the_publisher():
    plan = Plan(publish=Publish(headers={"X-Api-Key": "secret"}, rate=3.0), files={"a": "text"})
    (headers, rate) = plan.for_agents.publish.headers, plan.for_agents.publish.rate

    assert (headers, rate, plan.for_agents.files) == ({"X-Api-Key": ""}, 3.0, {"a": "text"})
    assert Plan().for_agents == Plan()


CHAT = PythonSession(name="chat", file="chat.py", source="async def session(user): ...\n")


def test_a_redacted_plan_has_its_urls_without_the_values_of_secret_parameters():
    urls = ("ws://a/?token=one", "ws://a/?token=two", "ws://b/?room=1")
    moved = Script(name="moved", steps=(Change(url=urls[1]), Connect(url="ws://c/?jwt=three")))
    plan = Plan(targets=tuple(Target(url=url) for url in urls), sessions=(moved,))

    shown = plan.redacted()
    assert shown.urls == ("ws://a/?token=…", "ws://a/?token=…2", "ws://b/?room=1", "ws://c/?jwt=…")
    assert plan.shown_urls == dict(zip(plan.urls, shown.urls, strict=True))
    assert Plan(target=urls[0]).redacted().target == "ws://a/?token=…"
    assert Plan().redacted() == Plan()


def test_a_redacted_plan_has_no_source_of_sessions():
    plan = Plan(sessions=(CHAT, USERS))

    assert plan.redacted().sessions == (replace(CHAT, source=""), USERS)


def test_all_servers_are_known_each_once():
    moved = Script(name="moved", steps=(Connect(), Change(url="ws://b/"), Connect(url="ws://c/")))
    plan = Plan(targets=(Target(url="ws://a/"), Target(url="ws://b/")), sessions=(moved,))

    assert Plan(target="ws://x/").servers == (Target(url="ws://x/"),)
    assert plan.servers == plan.targets
    assert plan.urls == ("ws://a/", "ws://b/", "ws://c/")


@pytest.mark.parametrize(
    ("plan", "appwrite"),
    [
        (Plan(), True),
        (Plan(target="ws://a/v1/realtime?project=x", sessions=(Loop(name="l"),)), True),
        (Plan(target="ws://a/v1/realtime"), False),
        (Plan(target="ws://a/chat?project=x"), False),
        (Plan(sessions=(PythonSession(name="p", file="p.py"),)), False),
        (Plan(sessions=(Script(name="s", steps=()),)), False),
    ],
)
def test_a_plan_of_appwrites_is_one_without_sessions_to_a_project_of_it(plan, appwrite):
    assert plan.appwrite == appwrite


def test_the_peaks_of_a_plan_are_those_of_its_phases_and_of_all_its_loops():
    loops = (Loop(name="a", think=2.0, weight=3), Loop(name="b", think=5.0, ping="none"))
    phases = (Phase(rate=10, max=100), Phase(rate=5, rate_to=50, duration=10))
    plan = Plan(phases=phases, sessions=loops)

    assert plan.peak_rate == 50
    assert plan.peak_pings == plan.total * 3 / 4 / 2.0
    assert (Plan(rate=7.0).peak_rate, Plan(max=300, think=30.0).peak_pings) == (7.0, 10.0)


def test_a_user_has_the_same_target_and_session_whenever_it_is_asked():
    plan = Plan(
        targets=(Target(url="ws://a/"), Target(url="ws://b/", weight=0.0)),
        sessions=(USERS, replace(CHAT, weight=9.0)),
    )
    numbers = range(1000)

    assert {plan.target_of(number) for number in numbers} == {0}
    assert [plan.session_of(number) for number in numbers] == [
        plan.session_of(number) for number in numbers
    ]
    assert 800 < sum(plan.session_of(number) for number in numbers) < 990


def test_http_publications_make_a_message_for_each_subscriber():
    one = Plan(max=300, publish=Publish(rate=5.0))
    some = Target(url="ws://a/?channels[]=x&channels[]=y", weight=3.0)
    none = Target(url="ws://b/")
    two = Plan(max=400, targets=(some, none), publish=Publish(rate=4.0, channels=("x", "z")))

    assert one.peak_deliveries == 1500
    assert two.peak_deliveries == 4.0 * 300 / 2, "every second publication reaches three quarters"
    assert Plan(max=300).peak_deliveries == 0
    assert Plan(max=300, publish=Publish(by="external")).peak_deliveries == 0


def test_a_phase_may_have_a_mix_of_its_own():
    phases = (
        Phase(rate=10, max=10, sessions={"chat": 1.0}),
        Phase(rate=10, max=10, sessions={"users": 1.0}),
        Phase(rate=10, max=10),
    )
    plan = Plan(phases=phases, sessions=(USERS, replace(CHAT, weight=1e12)))

    assert [plan.session_of(number) for number in range(30)] == [1] * 10 + [0] * 10 + [1] * 10


def test_what_is_asked_has_names():
    plan = Plan(phases=(Phase(rate=10, max=2000, name="up"), Phase(duration=1)))

    assert (Plan(max=5).asked, plan.asked) == ("--max 5", "2,000 arrivals in all phases")
    assert Plan().phase_names == ("arrivals",)
    assert plan.phase_names == ("up", "phase 2")


PASSWORDS = Feeder(
    name="passwords",
    rows=({"id": "a", "password": "s3cret"},),
    sessions=("users",),
    columns=("id", "password"),
    count=1,
    table=b'["a","s3cret"]\n',
)
ROOMS = Feeder(name="rooms", file="rooms.csv", mode="random", columns=("room",), count=9)


def test_rows_are_in_the_plan_of_the_coordinator_alone():
    plan = Plan(sessions=(CHAT, USERS), feeders=(PASSWORDS,), publish=Publish())

    for other in (plan.redacted(), plan.for_agents, plan.kept):
        assert "s3cret" not in repr(other)
        assert "czNjcmV0" not in to_toml(other).decode()
        assert (other.feeders[0].count, other.feeders[0].columns) == (1, ("id", "password"))
    assert "s3cret" not in repr(replace(plan, publish=None).for_agents)


def test_a_user_has_the_fields_of_the_feeders_of_its_session():
    plan = Plan(max=100, sessions=(CHAT, USERS), feeders=(PASSWORDS, ROOMS))

    assert plan.columns_of("users") == ("id", "password", "room")
    assert plan.columns_of("chat") == ("room",)
    first, second, *_ = (number for number in range(100) if plan.session_of(number) == 1)
    place = plan.places_of(PASSWORDS)
    assert (place(first), place(second)) == (0, None)
    rooms = plan.places_of(ROOMS)
    assert {rooms(number) for number in range(100)} == set(range(9))


def test_a_mistake_in_a_feeder_is_one_of_the_plan():
    with pytest.raises(PlanError, match=r"`feeders\[0\]\.sessions` names 'users'; .* are loop"):
        Plan(feeders=(PASSWORDS,))


def with_files(file, *files):
    return PythonSession(
        name=file,
        file=file,
        source="async def session(user): ...\n",
        files=tuple(SessionFile(path=path, text=text, sha256=text) for path, text in files),
    )


def test_two_folders_have_no_module_of_one_name():
    one = with_files("a/one.py", ("helpers.py", "1"), ("words.txt", "1"), ("__init__.py", "1"))
    same = with_files("b/two.py", ("helpers.py", "1"), ("words.txt", "2"), ("__init__.py", "2"))
    beside = with_files("a/three.py", ("helpers.py", "2"))
    Plan(sessions=(one, same))
    Plan(sessions=(one, beside))

    with pytest.raises(
        PlanError, match=r"^`sessions` 1 has helpers\.py in \., and another one is in a; rename"
    ):
        Plan(sessions=(one, with_files("two.py", ("helpers.py", "2"))))


def test_the_files_of_all_sessions_are_bounded():
    files = [(f"f{number}", "") for number in range(2 * MAX_FILES + 1)]
    with pytest.raises(PlanError, match=r"^`sessions` bring 1,001 files of 0 bytes; 1,000 files"):
        Plan(sessions=(with_files("a.py", *files),))


def test_the_plan_is_shown_without_what_is_in_files():
    plan = Plan(sessions=(with_files("a.py", ("words.txt", "secret")),))
    (session,) = plan.redacted().python_sessions

    assert session.files == (SessionFile(path="words.txt", sha256="secret"),)
    assert plan.for_agents.sessions == plan.sessions


def test_parameters_fill_urls_and_headers_and_leave_the_variables_of_rows():
    plan = Plan(
        target="ws://%%host%%/?id=%%id%%",
        targets=(Target(url="ws://%%host%%/a"), Target(url="ws://b/")),
        transport=Transport(headers={"X-Room": "%%room%% of %%_room%%", "X": "%%id%%"}),
        publish=Publish(url="http://%%host%%/p", headers={"Key": "%%key%%"}, by="http"),
        params={"host": "10.0.0.1", "room": 5, "key": "k"},
    )
    found = plan.filled

    assert found.target == "ws://10.0.0.1/?id=%%id%%"
    assert [target.url for target in found.targets] == ["ws://10.0.0.1/a", "ws://b/"]
    assert found.transport.headers == {"X-Room": "5 of 5", "X": "%%id%%"}
    assert (found.publish.url, found.publish.headers) == ("http://10.0.0.1/p", {"Key": "k"})
    assert found.filled == found
    assert Plan(params={"a": 1}).filled == Plan(params={"a": 1})
    assert Plan().filled == Plan()


def test_a_mistake_in_a_parameter_is_named_with_its_path():
    rows = Feeder(rows=({"id": "u0"},), columns=("id",))

    with pytest.raises(PlanError, match=r"`params\.a-b` is no name of a parameter"):
        Plan(params={"a-b": 1})
    with pytest.raises(PlanError, match=r"`params\.id` is a column of the feeder 'users' too"):
        Plan(params={"id": 1}, feeders=(rows,))


def test_a_redacted_plan_has_no_secret_parameters():
    assert Plan(params={"token": "s", "room": "r"}).redacted().params == {"token": "…", "room": "r"}


def test_users_begin_with_the_parameters_and_the_fields_of_their_rows():
    rows = Feeder(rows=({"id": "u0"},), columns=("id",), sessions=("users",))
    plan = Plan(params={"room": 1}, feeders=(rows,), sessions=(USERS, CHAT))

    assert plan.variables_of("users") == ("room", "id")
    assert plan.variables_of("chat") == ("room",)


def test_the_addresses_of_exporters_are_not_for_agents_and_are_shown_without_secrets():
    watch = ("server=http://me:pw@10.0.0.2/metrics?token=x",)
    plan = Plan(watch=watch, expect=("failed<1%",))

    assert plan.for_agents == Plan(expect=("failed<1%",))
    assert plan.redacted().watch == ("server=http://…@10.0.0.2/metrics?token=…",)


def test_the_variable_of_a_setup_is_no_parameter_and_no_column():
    setup = SetupSpec(file="prepare.py", source="x = 1\n")
    script = Script(name="s", steps=(Connect(),))
    rows = Feeder(rows=({"data": 1},), columns=("data",))

    plan = Plan(setup=setup, sessions=(script,))
    assert plan.variables_of("s") == ("data",)
    assert (plan.python_code, plan.redacted().setup.source) == ((setup.code(),), "")
    assert Plan(setup=setup, sessions=(CHAT,), params={"data": 1}).params  # no script reads it
    for clash in ({"params": {"data": 1}}, {"feeders": (rows,)}):
        with pytest.raises(PlanError, match="`setup` gives scripts the variable 'data', which is"):
            Plan(setup=setup, sessions=(script,), **clash)
