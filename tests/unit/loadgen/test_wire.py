"""Every message, to its JSON form and back, and what is refused."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import wire
from loadgen.machine.limits import Limit
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import Share
from loadgen.stats.delays import Delays
from loadgen.stats.delivery import News, Published
from loadgen.stats.fanin import Second
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.stats.vitals import WorkerVitals
from loadgen.wire import WIRE, Hello, Post, from_agent, from_wire, to_wire
from tests.unit.strategies import histogram_of, seconds

SHARE = Share(64, (3, 19, 35, 51))
SECOND = Second(
    7,
    Tally(launched=5, failed={"refused": 1}, lag=histogram_of([20, 3000])),
    Held(1, 3),
    cpu_s=0.5,
    rss=10**8,
)
SOURCES = wire.Sources(
    addresses=("10.0.0.1", "fd00::1"), low=1025, high=65535, worker=1, workers=4, start=7
)
DESTINATION = wire.Destination(
    url="wss://target.test:9505/v1/realtime?channels[]=files",
    ways=(wire.Way("10.0.0.9", SOURCES), wire.Way("fd00::9", SOURCES)),
    port=9505,
    name="target.test",
    host="target.test:9505",
    resource="/v1/realtime?channels[]=files",
    secure=True,
)
REASSIGNMENT = Reassignment(Unfinished(SHARE, 64, 1000), at=12.5, pace=250.0)
START = wire.Start(SHARE, after=1.5)
MESSAGES = [
    SOURCES,
    *DESTINATION.ways,
    DESTINATION,
    wire.Job(
        plan=Plan(rate=12.5),
        share=SHARE,
        start=1234.5678,
        destinations=(DESTINATION,),
        most_open=16_000,
    ),
    wire.Rehearsal(
        (PythonSession(name="chat", file="chat.py", source="async def session(user): ..."),)
    ),
    wire.Rehearsed("chat.py:1: KeyError: 'x'", "Traceback", ("printed: hello",)),
    wire.Wanted("wss://other.test:443/"),
    wire.Place("wss://other.test:443/", DESTINATION),
    wire.Place("wss://other.test:443/", refusal="refuses it"),
    wire.Report(SECOND, finished=True, notes=("a – note",), tracebacks={"error_KeyError": "…"}),
    wire.Hello(
        name="client1",
        wire=wire.WIRE,
        version="0.1.0",
        max_connections=64_000,
        limits=(Limit("memory", 100, "1 GB", "more of it"),),
        machine={"cores": 2, "sysctl": {"fs.file-max": 10**18}, "swap": None},
    ),
    wire.Welcome(id="x1", name="client1-2", index=3, plan=Plan(ping="app", arrival="poisson")),
    wire.Post(
        seconds=(SECOND, Second(8)), ready=True, finished=True, workers=(WorkerVitals(0, 1.0, 1),)
    ),
    wire.Post(tracebacks={"error_KeyError": "Traceback"}),
    wire.Post(
        ready=True, gate=2, max_connections=7, limits=(Limit("memory", 100, "1 GB", "more of it"),)
    ),
    wire.Post(
        clock=wire.ClockOffset("0b5c3a1d", -1000.0, 0.002, drift_ppm=-3.5, wall=1.8e9, steps=1)
    ),
    wire.ClockOffset("0b5c3a1d.3600.0", 0.0, 0.5),
    wire.Post(refusal="10.0.0.9 is not in --allow-target"),
    START,
    wire.Orders(8, "run", START, reassignments=(REASSIGNMENT,), reassigned=2),
    wire.Job(
        Plan(), SHARE, 1.5, (DESTINATION,), 16, reassignments=(REASSIGNMENT,), first=7, delay=2.5
    ),
    wire.Post(seconds=(Second(9, span=4),), reassigned=3),
    wire.Orders(acknowledged=7, do="run", start=START),
    wire.Orders(acknowledged=9, do="run", start=START, gates=(12.5, 99.0)),
    wire.Orders(acknowledged=-1),
    wire.Orders(3, errand=wire.Errand(2, "teardown", b"[1]"), stay=True),
    wire.Orders(3, "run", START, data=b'{"room": 5}'),
    wire.Errand(1, "setup"),
    wire.ErrandResult(1, b"[1]"),
    wire.Post(errand=wire.ErrandResult(1, problem="it broke"), has_data=True),
    wire.ErrandCall(PythonSession(name="setup", file="prepare.py"), "", b"{}"),
    wire.Called(b"5", notes=("printed: hello",)),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was_sent(message):
    assert from_wire(to_wire(message), type(message)) == message
    assert from_wire(to_wire(message).decode(), type(message)) == message


def test_every_message_is_tried_here():
    messages = {
        value
        for value in vars(wire).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and value.__module__ == wire.__name__
    }

    assert {type(message) for message in MESSAGES} == messages


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_of_json(message):
    assert b"\n" not in to_wire(message)
    json.loads(to_wire(message))


@given(seconds)
def test_any_second_comes_back_as_it_was_sent(second):
    assert from_wire(to_wire(wire.Report(second)), wire.Report).second == second


@pytest.mark.parametrize(
    ("data", "kind", "field"),
    [
        (b'{"acknowledged":"7"}', wire.Orders, "$.acknowledged"),
        (b'{"acknowledged":7,"do":"dance"}', wire.Orders, "$.do"),
        (b'{"do":"run"}', wire.Orders, "acknowledged"),
        (
            b'{"acknowledged":7,"start":{"after":1,"share":{"length":1.5}}}',
            wire.Orders,
            "$.start.share.length",
        ),
        (b'{"seconds":[{"number":1},{"number":"2"}]}', wire.Post, "$.seconds[1].number"),
        (
            b'{"seconds":[{"number":1,"tally":{"launched":null}}]}',
            wire.Post,
            "$.seconds[0].tally.launched",
        ),
        (
            b'{"seconds":[{"number":1,"tally":{"failed":{"refused":"x"}}}]}',
            wire.Post,
            "tally.failed",
        ),
        (b'{"second":{"number":1,"tally":{"lag":[{"20":0.5}]}}}', wire.Report, "tally.lag"),
        (b'{"id":"x","name":"y","index":0,"plan":{"rate":-1}}', wire.Welcome, "$.plan.rate"),
        (
            b'{"acknowledged":7,"reassignments":[{"unfinished":{"share":{}},"at":0,"pace":0}]}',
            wire.Orders,
            "$.reassignments[0].pace",
        ),
        (b'{"unfinished":{"share":{},"below":-1},"at":0,"pace":1}', Reassignment, "below"),
    ],
)
def test_a_wrong_field_is_named(data, kind, field):
    with pytest.raises(msgspec.DecodeError) as caught:
        from_wire(data, kind)

    assert field in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'{"acknowledged":7',
        b'{"acknowledged":7}x',
        b"\xff",
        b'{"acknowledged":7,"do":"\xff"}',
    ],
)
def test_other_bytes_are_a_decode_error(data):
    with pytest.raises(msgspec.DecodeError):
        from_wire(data, wire.Orders)


def test_a_field_of_a_newer_version_is_ignored():
    assert from_wire(b'{"acknowledged":7,"mood":"good"}', wire.Orders) == wire.Orders(7)


@pytest.mark.parametrize("positions", [(2, 1), (1, 1), (0, 64), (-1, 3)])
def test_a_share_whose_positions_are_none_is_refused(positions):
    with pytest.raises(ValueError, match="positions of `share` must ascend"):
        wire.Start(Share(64, positions), after=0.0)


def test_a_share_of_nothing_may_be_started():
    assert wire.Start(Share(1, ()), after=0.0).share.positions == ()


def test_a_destination_has_the_addresses_of_its_ways():
    assert DESTINATION.addresses == ("10.0.0.9", "fd00::9")
    assert not DESTINATION.is_unix
    unix = msgspec.structs.replace(DESTINATION, ways=(wire.Way("/run/app.sock"),))
    assert unix.is_unix


SENT = Published("here-run.0", 0, 1_000_000, "my files")
HOSTILE = "a\x1b[2J\u202e\x7f\x00b\nforged: pass"
"""What no terminal may get; JSON carries all of it as escapes."""
FULL = {
    Hello: Hello("a", WIRE, "1", 10, (Limit("memory", 9, "why", "fix"),), {"cpu": ["x", {"y": 1}]}),
    Post: Post(
        seconds=(
            Second(
                3,
                Tally(
                    failed={"refused": 1},
                    closed={"done": 1},
                    counters={"logins": 2},
                    timings={"tr_login": Histogram({5: 1})},
                ),
                delays=Delays(stalls={0: 0.5}),
                news=News(published={SENT.key: SENT}, unstamped="text"),
            ),
        ),
        refusal="no such host",
        limits=(Limit("memory", 9, "why", "fix"),),
        addresses={"ws://target.test/": ("10.0.0.9", "::1")},
        notes=("a note",),
        abort="why",
        tracebacks={"error_X": "line\n\tline"},
    ),
}


def texts_in(value):
    """Yields every text in a value, and True for those that are names."""
    if isinstance(value, str):
        yield value, False
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name), True
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


@pytest.mark.parametrize("kind", FULL)
def test_what_an_agent_says_in_plain_words_stays_as_it_is(kind):
    assert from_agent(to_wire(FULL[kind]), kind) == FULL[kind]
    assert from_agent(json.dumps(msgspec.to_builtins(FULL[kind])).encode(), kind) == FULL[kind]


def text_places(info, at=""):
    """Yields the places of all texts and names in a type of the wire."""
    if isinstance(info, msgspec.inspect.StrType | msgspec.inspect.AnyType):
        yield at
    elif isinstance(info, msgspec.inspect.StructType):
        for field in info.fields:
            yield from text_places(field.type, f"{at}.{field.encode_name}")
    elif isinstance(info, msgspec.inspect.DictType):
        yield from text_places(info.key_type, f"{at}{{name}}")
        yield from text_places(info.value_type, f"{at}{{}}")
    elif isinstance(info, msgspec.inspect.UnionType):
        for one in info.types:
            yield from text_places(one, at)
    elif isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        yield from text_places(info.item_type, f"{at}[]")
    else:
        assert isinstance(
            info,
            msgspec.inspect.BytesType  # base64, which no control character can be in
            | msgspec.inspect.IntType
            | msgspec.inspect.FloatType
            | msgspec.inspect.BoolType
            | msgspec.inspect.NoneType,
        ), info


def filled(info, at, wanted):
    """Returns JSON of a type with HOSTILE at one place, and little else."""
    if isinstance(info, msgspec.inspect.StrType | msgspec.inspect.AnyType):
        return HOSTILE if at == wanted else "x:1"
    if isinstance(info, msgspec.inspect.StructType):
        found = {
            field.encode_name: filled(field.type, f"{at}.{field.encode_name}", wanted)
            for field in info.fields
            if field.required or info.array_like or wanted.startswith(f"{at}.{field.encode_name}")
        }
        return [*found.values()] if info.array_like else found
    if isinstance(info, msgspec.inspect.DictType):
        name = filled(info.key_type, f"{at}{{name}}", wanted)
        return {name: filled(info.value_type, f"{at}{{}}", wanted)}
    if isinstance(info, msgspec.inspect.UnionType):
        real = [one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)]
        return filled(real[0], at, wanted)
    if isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return [filled(info.item_type, f"{at}[]", wanted)]
    return False if isinstance(info, msgspec.inspect.BoolType) else 1


PLACES = [
    (kind, place)
    for kind in FULL
    for place in dict.fromkeys(text_places(msgspec.inspect.type_info(kind)))
]


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_no_field_of_the_wire_carries_a_sign_that_can_not_be_printed(kind, place):
    """The types themselves say where texts are, so a new field is tried too."""
    body = filled(msgspec.inspect.type_info(kind), "", place)
    data = json.dumps(body).encode()
    assert data.count(b"forged") == 1, body
    try:
        message = from_agent(data, kind)
    except msgspec.DecodeError as error:
        refusal = str(error)
    else:
        said = msgspec.to_builtins(message, str_keys=True)
        assert "\ufffd" in str(said)
        for text, name in texts_in(said):
            kept = text if name else text.replace("\n", "").replace("\t", "")
            assert kept.isprintable(), text
        return
    assert refusal.isprintable()
    assert "Expected" in refusal


def test_a_text_of_each_kind_of_field_is_taken():
    """Else the test before this one would be content with refusals."""
    taken = set()
    for kind, place in PLACES:
        data = json.dumps(filled(msgspec.inspect.type_info(kind), "", place)).encode()
        with contextlib.suppress(msgspec.DecodeError):
            from_agent(data, kind)
            taken.add(place)

    assert {".notes[]", ".abort", ".tracebacks{}", ".tracebacks{name}", ".refusal"} <= taken
    assert {".name", ".version", ".limits[].fix", ".machine{}", ".machine{name}"} <= taken
    assert {".seconds[].tally.failed{name}", ".seconds[].tally.counters{name}"} <= taken
    assert {".seconds[].news.unstamped", ".seconds[].tally.checks{name}"} <= taken


SIGNS = st.text(
    st.sampled_from(
        "a\x1b\x00\x07\x7f\x85\r\n\t\u061c\u200e\u202a\u202e\u2028\u2029\u2066\u2069\ufeff\ue000"
    )
    | st.characters(exclude_categories=("Cs",)),
    max_size=20,
)


@given(SIGNS)
def test_whatever_an_agent_says_can_be_printed(text):
    said = Post(notes=(text,), abort=text, tracebacks={text: text}, refusal=text)
    post = from_agent(to_wire(said), Post)

    ((reason, sample),) = post.tracebacks.items()
    assert reason.isprintable()
    for shown in (*post.notes, post.abort, sample, post.refusal):
        assert shown.replace("\n", "").replace("\t", "").isprintable()
        assert len(shown) == len(text)


def test_facts_of_a_machine_are_not_nested_without_end():
    facts = json.dumps({"fact": None}).replace("null", "[" * 900 + "]" * 900)
    body = to_wire(FULL[Hello]).replace(b'{"cpu":["x",{"y":1}]}', facts.encode())

    with pytest.raises(msgspec.DecodeError, match="inside each other"):
        from_agent(body, Hello)


def test_what_nests_too_deeply_is_refused_also_where_it_has_escapes():
    body = to_wire(FULL[Hello]).replace(
        b'{"cpu":["x",{"y":1}]}', b'{"\\u001b":' + b"[" * 700 + b"]" * 700 + b"}"
    )

    with pytest.raises(msgspec.DecodeError):
        from_agent(body, Hello)


def test_an_id_is_shown_without_its_secret():
    assert wire.Welcome("k-0.secret", "a", 0, Plan()).public_id == "k-0"


def test_the_newest_second_of_a_post_is_known_in_any_order():
    assert Post(seconds=(Second(7), Second(3))).newest == 7
    assert Post().newest == -1
