"""Plan files are written and read back.

A mistake has its file, its line and its key.
"""

import tomllib
from hashlib import sha256
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.script import Think
from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup import SetupSpec
from loadgen.planfile import keys_of, line_of, place_in, read_plan, to_toml
from tests.unit.plans import plans


@pytest.fixture
def plan_file(tmp_path):
    """Writes a plan file and returns its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "plan.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("plan") / "plan.toml"


@given(plan=plans)
def test_a_plan_written_as_toml_is_read_back_the_same(plan, path):
    path.write_bytes(to_toml(plan))

    assert read_plan(path) == plan


def test_the_file_has_every_value_even_the_defaults():
    """A plan.toml reproduces its run with a later version.

    That version may have other defaults.
    """
    plan = Plan(publish=Publish(), setup=SetupSpec(file="setup.py"))

    assert set(tomllib.loads(to_toml(plan).decode())) == set(Plan.__struct_fields__)


def test_an_empty_file_is_the_reference_run(plan_file):
    assert read_plan(plan_file("")) == Plan()


def test_whole_numbers_are_legal_for_fractions(plan_file):
    assert read_plan(plan_file("rate = 500\nhold = 0\n")) == Plan(rate=500.0, hold=0.0)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("max = 1,000,000", "; write 1_000_000"),
        ("max = 1,000 # users", "; write 1_000"),
        ('max = "1,000,000"', "`max`: Expected `int`, got `str`; write 1000000"),
        ('max = "1e6"', "; write 1000000"),
        ("max = 1e6", "`max`: Expected `int`, got `float`; write 1000000"),
        ('rate = "1,500.5"', "`rate`: Expected `float`, got `str`; write 1500.5"),
        ('rate = "many"', "got `str`"),
        ('rate = "inf"', "got `str`"),
        ("max = 1.5", "got `float`"),
        ('max = "1.5"', "got `str`"),
        ("rate = -1.0", "> 0.0"),
    ],
)
def test_a_number_in_another_spelling_is_answered_with_the_right_one(plan_file, line, told):
    with pytest.raises(PlanError) as caught:
        read_plan(plan_file(f"seed = 1\n{line}\n"))

    assert str(caught.value).endswith(told)
    assert "line 2" in str(caught.value)


WRONG = {
    "an unknown key": ("speed = 3", "speed"),
    "text for a number": ("rate = 'fast'", "rate"),
    "a fraction for a count": ("max = 1.5", "max"),
    "a number for text": ("target = 9505", "target"),
    "a truth value for a number": ("loops = true", "loops"),
    "a negative rate": ("rate = -1.0", "rate"),
    "a rate of zero": ("rate = 0", "rate"),
    "a rate that is no number": ("rate = nan", "rate"),
    "an infinite rate": ("rate = inf", "rate"),
    "no connections": ("max = 0", "max"),
    "a negative hold": ("hold = -0.5", "hold"),
    "an endless hold": ("hold = inf", "hold"),
    "a think time of zero": ("think = 0", "think"),
    "an endless think time": ("think = inf", "think"),
    "negative loops": ("loops = -1", "loops"),
    "more arrivals than there can be": ("max = 1_000_000_000_001", "max"),
    "a rate beyond all": ("rate = 1e300", "rate"),
    "a hold beyond all": ("hold = 1e10", "hold"),
    "a think time beyond all": ("think = 1e26", "think"),
    "loops that no wire carries": (f"loops = {2**70}", "loops"),
    "a seed that no wire carries": (f"seed = {2**70}", "seed"),
    "an unknown arrival": ("arrival = 'bunched'", "arrival"),
    "an unknown ping": ("ping = 'pong'", "ping"),
    "a table for a value": ("[rate]\nper = 'second'", "rate"),
}


@pytest.mark.parametrize(("content", "key"), WRONG.values(), ids=WRONG)
def test_a_plan_that_cannot_be_run_is_a_plan_error_naming_file_and_key(plan_file, content, key):
    path = plan_file(content)
    with pytest.raises(PlanError) as caught:
        read_plan(path)

    assert str(path) in str(caught.value)
    assert key in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize(
    "content", ["rate 2000", "rate = 1\nrate = 2", "[", b"target = '\xff'", "a = " + "[" * 9999]
)
def test_what_is_not_toml_is_a_plan_error_naming_the_file(plan_file, content):
    path = plan_file(content)
    with pytest.raises(PlanError) as caught:
        read_plan(path)

    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_a_plan_error(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere\.toml: No such file"):
        read_plan(tmp_path / "nowhere.toml")


def refusal(path: Path) -> str:
    """Returns the one line that says why a file is refused, without the file's name."""
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(path))
    return line.removeprefix(str(path))


SEVERAL = """\
hold = "5m"
seed = 1

[[phases]]
name = "ramp"
rate = 0
rate_to = 50
duration = "90s"

[[phases]]
duration = 20
storm = 0.5
jitter = "500ms"
{phase}

[[sessions]]
kind = "loop"
name = "users"
think = "1m"
{session}

[[targets]]
url = "ws://a.test/"
{target}

[transport]
connect_timeout = "10s"
{transport}
"""


def several(**lines: str) -> str:
    """Returns a plan of many parts, with further lines in some of them."""
    return SEVERAL.format(**{"phase": "", "session": "", "target": "", "transport": ""} | lines)


def test_durations_may_be_written_with_their_unit(plan_file):
    plan = read_plan(plan_file(several()))

    assert plan.hold == 300.0
    assert [phase.duration for phase in plan.phases] == [90.0, 20.0]
    assert plan.phases[1].jitter == 0.5
    assert plan.session_specs[0].think == 60.0
    assert plan.transport.connect_timeout == 10.0
    assert read_plan(plan_file('hold = "sessions"')).hold == "sessions"


def test_the_files_of_tls_stand_beside_the_plan(plan_file, tmp_path):
    keys = 'tls_ca = "pki/ca.pem"\ntls_cert = "/etc/c.pem"\ntls_key = "../k.pem"'
    path = plan_file(f"[transport]\n{keys}\n")
    transport = read_plan(path).transport

    assert transport.tls_ca == str(path.parent / "pki/ca.pem")
    assert transport.tls_cert == "/etc/c.pem"
    assert transport.tls_key == str(path.parent / "../k.pem")


def test_pauses_of_a_script_may_as_well_or_be_variables(plan_file):
    think = '{do = "think", seconds = "2m", upto = "5m"}, {do = "think", seconds = "%%_pause%%"}'
    steps = (
        '{do = "connect"}, {do = "set", names = ["pause"], source = "value", value = "1"},'
        f" {think}"
    )
    nested = f'{{do = "transaction", name = "t", steps = [{steps}]}}'
    plan = read_plan(plan_file(f'[[sessions]]\nkind = "script"\nname = "s"\nsteps = [{nested}]'))

    assert plan.sessions[0].steps[0].steps[2:] == (
        Think(seconds=120.0, upto=300.0),
        Think(seconds="%%_pause%%"),
    )


SCRIPT = '[[sessions]]\nkind = "script"\nname = "s"\n'
PLACED = {
    "a wrong value": (
        {"phase": "keep = 'yes'"},
        ", line 14: `phases[1].keep`: Expected `bool`, got `str`",
    ),
    "an unknown key": (
        {"session": "loop = 3"},
        ", line 20: `sessions[0]`: Object contains unknown field `loop`",
    ),
    "a bad duration": (
        {"phase": 'name = "x"\nduraton = "5m"'},
        ", line 15: `phases[1]`: Object contains unknown field",
    ),
    "an unknown kind": (
        {"target": '[[sessions]]\nkind = "lop"\nname = "x"'},
        ", line 25: `sessions[1].kind`: Invalid value",
    ),
    "a missing key": (
        {"target": '[[sessions]]\nkind = "loop"'},
        ", line 24: `sessions[1]`: Object missing required field",
    ),
    "no weight": (
        {"target": "weight = -1"},
        ", line 24: `targets[0].weight`: Expected `float` >= 0.0",
    ),
    "no URL": (
        {"target": '[[targets]]\nurl = "http://b.test/"'},
        ", line 25: `targets[1].url`: target 'http://b.test/'",
    ),
    "no ports": (
        {"transport": 'ports = "9-5"'},
        ", line 28: `transport.ports`: ports '9-5' begin under 1024",
    ),
    "a header that offers an extension": (
        {
            "transport": '[transport.headers]\nX-A = "b"\n'
            'Sec-WebSocket-Extensions = "permessage-deflate"'
        },
        ", line 30: `transport.headers.Sec-WebSocket-Extensions` belongs to the handshake",
    ),
    "a header that is no line": (
        {"transport": 'headers = { X-A = "b", X-B = "c\\r\\nX-C: d" }'},
        ", line 28: `transport.headers.X-B` has the character '\\r' at place 1",
    ),
    "a header that has a key of its own": (
        {"transport": 'origin = "http://a"\n\n[transport.headers]\nOrigin = "http://b"'},
        ", line 31: `transport.headers.Origin` is there a second time",
    ),
    "a header of a step": (
        {
            "session": (
                f'{SCRIPT}steps = [\n  {{do = "connect", path = "/a"}},\n  {{do = "connect",'
                ' headers = {Sec-WebSocket-Protocol = "mqtt"}},\n]'
            )
        },
        ", line 26: `sessions[1].steps[1]`: `headers.Sec-WebSocket-Protocol` belongs to",
    ),
    "a path of a step": (
        {"session": f'{SCRIPT}steps = [\n  {{do = "connect", path = "hold"}},\n]'},
        ", line 25: `sessions[1].steps[0]`: `path`: the resource 'hold' does not begin with /",
    ),
    "no version of TLS": (
        {"transport": 'tls_versions = ["tls2"]'},
        ", line 28: `transport`: `tls_versions`: tls2 is none of tlsv1,",
    ),
    "no cipher": (
        {"transport": 'tls_ciphers = "rot13"'},
        ", line 28: `transport`: `tls_ciphers` 'rot13': OpenSSL",
    ),
    "a bad pause": (
        {"session": f'{SCRIPT}steps = [{{do = "connect"}}, {{do = "think", upto = "5 min"}}]'},
        ", line 23: `sessions[1].steps[1].upto`: '5 min' is not a duration",
    ),
    "no source": (
        {"target": '[[clients]]\nname = "a"\nsources = [\n  "here"\n]'},
        ", line 28: `clients[0].sources`: source 'here'",
    ),
    "a name no host has": (
        {"target": '[[clients]]\nname = "a b"'},
        ", line 25: `clients[0].name`: Expected `str` matching",
    ),
    "a fault of a phase": (
        {"phase": "rate_to = 5\nmax = 0"},
        ", line 15: `phases[1].max`: Expected `int` >= 1",
    ),
    "a fault between phases and sessions": (
        {"phase": "sessions = { users = 1, guests = 2 }"},
        ", line 14: `phases[1].sessions.guests` is none of the plan's sessions: users",
    ),
    "a step of a script": (
        {
            "session": (
                '[[sessions]]\nkind = "script"\nname = "s"\nsteps = [\n  {do = "connect"},\n  {do ='
                ' "sing"},\n]'
            )
        },
        ", line 26: `sessions[1].steps[1].do`: Invalid value 'sing'; did you mean 'ping'?",
    ),
}


@pytest.mark.parametrize(("lines", "words"), PLACED.values(), ids=PLACED)
def test_a_mistake_has_its_line_and_its_key(plan_file, lines, words):
    assert refusal(plan_file(several(**lines))).startswith(words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "rate = 5",
            ", line 1: `rate` has no effect in a plan with `phases`; leave one of them out",
        ),
        ("max = 5", ", line 1: `max` has no effect in a plan with `phases`"),
        ("think = 5", ", line 1: `think` has no effect in a plan with `sessions`"),
        ("loops = 5", ", line 1: `loops` has no effect in a plan with `sessions`"),
        ('ping = "app"', ", line 1: `ping` has no effect in a plan with `sessions`"),
        ('target = "ws://b.test/"', ", line 1: `target` has no effect in a plan with `targets`"),
        (
            'stop_after = "never"',
            ", line 1: `stop_after`: 'never' is not a duration; write 30, 30s, 5m or 1h",
        ),
    ],
)
def test_a_key_without_effect_is_refused(plan_file, line, words):
    assert refusal(plan_file(f"{line}\n{several()}")).startswith(words)


@pytest.mark.parametrize(
    ("value", "resolve"), [('"once"', "once"), ('"30s"', 30.0), ("5", 5.0), ('"1m"', 60.0)]
)
def test_how_often_names_are_resolved_is_a_word_or_a_duration(plan_file, value, resolve):
    plan = read_plan(plan_file(f"[transport]\nresolve = {value}\n"))
    assert plan.transport.resolve == resolve
    assert read_plan(plan_file(to_toml(plan).decode())) == plan


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"never"', "`transport.resolve`: 'never' is not a duration"),
        ('"500ms"', '`transport.resolve` is 0.5; write "once", or a duration of at least 1 s'),
        ("true", "Expected `float | str`, got `bool`"),
    ],
)
def test_another_rhythm_of_resolving_has_its_line(plan_file, value, words):
    found = refusal(plan_file(f"rate = 5\n\n[transport]\nresolve = {value}\n"))
    assert ", line 4: " in found
    assert words in found


def test_a_plan_with_a_malformed_target_is_refused(plan_file):
    assert refusal(plan_file('seed = 1\ntarget = "127.0.0.1:9505"')).startswith(
        ", line 2: `target`: target '127.0.0.1"
    )


def test_broken_toml_has_its_line(plan_file):
    assert "(at line 2, column 8)" in refusal(plan_file("seed = 1\nrate = \n"))


def test_a_number_of_thousands_of_digits_is_a_mistake_of_one_line(plan_file):
    assert refusal(plan_file(f"max = {'9' * 5000}")) == (
        ": a number in it is too long; write a shorter one"
    )


# Sessions in Python.

CODE = "async def session(user):\n    await user.connect()\n"
DIGEST = sha256(CODE.encode()).hexdigest()
PYTHON = '[[sessions]]\nkind = "python"\nname = "mine"\nfile = "sessions/mine.py"\n'


@pytest.fixture
def code(tmp_path):
    """Writes the session's file."""
    (tmp_path / "sessions").mkdir()

    def write(text: str = CODE) -> None:
        (tmp_path / "sessions" / "mine.py").write_text(text)

    return write


def test_a_plan_holds_the_source_of_a_session_in_python(plan_file, code):
    code()
    plan = read_plan(plan_file(PYTHON))

    assert plan.sessions == (
        PythonSession(name="mine", file="sessions/mine.py", source=CODE, sha256=DIGEST),
    )


def test_a_runs_own_plan_needs_no_file(plan_file, code, tmp_path):
    code()
    plan = read_plan(plan_file(PYTHON))
    (tmp_path / "sessions" / "mine.py").unlink()

    assert read_plan(plan_file(to_toml(plan))) == plan


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            CODE,
            'sha256 = "abc"',
            (
                ", line 5: `sessions[0]`: `sha256` does not match sessions/mine.py, whose"
                f" SHA-256 is {DIGEST}"
            ),
        ),
        (
            CODE,
            'function = "main"',
            (
                ", line 1: `sessions[0]`: sessions/mine.py: no function 'main'; the file has"
                " session; write"
            ),
        ),
        (
            "async def session(user):\n    wait user\n",
            "",
            ", line 1: `sessions[0]`: sessions/mine.py:2: invalid syntax",
        ),
        (
            "return 1\n",
            "",
            ", line 1: `sessions[0]`: sessions/mine.py:1: 'return' outside function",
        ),
        (None, "", ", line 1: `sessions[0]`: "),
    ],
)
def test_a_session_that_cannot_be_used_is_refused(plan_file, code, text, line, words):
    if text is not None:
        code(text)

    assert refusal(plan_file(PYTHON + line)).startswith(words)


def test_a_source_that_was_changed_by_hand_is_refused(plan_file, code):
    code()
    changed = to_toml(read_plan(plan_file(PYTHON))).replace(b"user.connect()", b"user.konnect()")

    assert "`sha256` does not match" in refusal(plan_file(changed))


def test_a_session_may_be_imported_or_assigned(plan_file, code):
    for text in ("from x import session\n", "async def f(user): ...\nsession = f\n"):
        code(text)
        assert read_plan(plan_file(PYTHON)).sessions[0].source == text


# Scripts.


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ('{do = "think"}', ", line 1: `sessions[0]`: the script never connects"),
        (
            '{do = "send", text = "x"}, {do = "connect"}',
            ", line 4: `sessions[0].steps[0]`: the session has no connection",
        ),
        (
            (
                '{do = "connect"}, {do = "transaction", name = "t", steps = [{do = "close"}, {do ='
                ' "ping"}]}'
            ),
            ", line 4: `sessions[0].steps[1].steps[1]`: the session has no connection",
        ),
        (
            '{do = "connect"}, {do = "set", names = ["a"], source = "file", file = "b"}',
            ", line 4: `sessions[0].steps[1]`: file 'b' is none of the plan's files",
        ),
        (
            '{do = "connect", url = "http://b/"}',
            ", line 1: `sessions[0]`: target 'http://b/' is not",
        ),
    ],
)
def test_a_script_that_cannot_be_played_is_refused_with_its_step(plan_file, steps, words):
    assert refusal(
        plan_file(f'[[sessions]]\nkind = "script"\nname = "s"\nsteps = [{steps}]\n')
    ).startswith(words)


TEXT = '''\
# a comment
rate = 5
inline = { a = 1, b = 2 }
texts = [
  "one",
  "two",
]
story = """
rate = 6
"""

[table]
deep.er = 1

[[many]]
name = "first"
[[many]]
name = "second"
[many.below]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("rate", 2),
        ("inline.b", 3),
        ("texts", 7),
        ("texts[1]", 7),
        ("story", 10),
        ("table", 12),
        ("table.deep.er", 13),
        ("many[0].name", 16),
        ("many[1]", 17),
        ("many[1].name", 18),
        ("many[1].below.x", 20),
        ("many[1].missing", 17),
        ("many[7]", 15),
        ("rate.too.far", 2),
        ("missing", None),
        ("", None),
    ],
)
def test_the_line_of_a_value_or_of_the_table_around_it(path, line):
    assert line_of(TEXT, keys_of(path)) == line
    assert line_of(TEXT.replace("\n", "\r\n"), keys_of(path)) == line


def test_a_path_is_read_up_to_where_it_is_malformed():
    assert keys_of("phases[10].sessions.a-b") == ("phases", 10, "sessions", "a-b")
    assert keys_of("phases[0].sessions[...]") == ("phases", 0, "sessions")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,4}", fullmatch=True),
        st.text(max_size=9) | st.integers(),
        min_size=1,
    )
)
def test_each_key_of_a_flat_document_has_the_line_that_begins_with_it(document):
    text = tomli_w.dumps(document)

    for key in document:
        assert text.split("\n")[line_of(text, (key,)) - 1].startswith(f"{key} = ")


FED = 'max = 2\n[[feeders]]\nfile = "users.csv"\n'


def test_the_rows_of_a_feeder_are_read_from_beside_the_plan(plan_file, tmp_path):
    (tmp_path / "users.csv").write_text("id\nu0\nu1\n")
    path = plan_file(FED)
    plan = read_plan(path)

    (feeder,) = plan.feeders
    assert (feeder.columns, feeder.count, feeder.table) == (("id",), 2, b'["u0"]\n["u1"]\n')
    assert read_plan(plan_file(to_toml(plan))) == plan
    assert "u1" not in to_toml(plan).decode()


def test_a_report_needs_no_rows(plan_file):
    (feeder,) = read_plan(plan_file(FED), runs=False).feeders

    assert (feeder.file, feeder.table) == ("users.csv", b"")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FED, "plan.toml, line 2: `feeders[0]`: "),
        (FED.replace("csv", "py"), "no plan runs code when it is read; give it by --feeder users"),
        (
            FED + 'mode = "some"\n',
            "line 4: `feeders[0].mode`: Invalid enum value 'some'; write ",
        ),
        (FED + "rows = 5\n", "line 4: `feeders[0].rows`: Expected `array`"),
        ('files = { a = "users.csv" }', "line 1: `files.a` is the text 'users.csv', a file's name"),
    ],
)
def test_a_mistake_in_the_data_of_users_has_its_line(plan_file, text, why):
    with pytest.raises(PlanError) as caught:
        read_plan(plan_file(text))

    assert why in str(caught.value)


def test_a_mistake_behind_a_long_text_is_found_by_few_readings(monkeypatch):
    """Each line of the text could be the end of a statement, and is not."""
    long = ['b = "x" # [', "'''"] * 500
    lines = ["c = [", "  1, # ]", "]", "rate = 1", "[files]", 'a = """', *long, '"""', "x = 1"]
    text = "\n".join(lines)
    loads, read = tomllib.loads, []
    monkeypatch.setattr(tomllib, "loads", lambda text: read.append(text) or loads(text))

    assert line_of(text, ("files", "x")) == len(lines)
    assert line_of(text, ("files", "a")) == len(lines) - 1
    assert line_of(text, ("rate",)) == 4
    assert line_of(text, ("c",)) == 3
    assert len(read) < 30


PARAMS = """
target = "ws://127.0.0.1:9/?room=%%room%%"
[params]
room = "lobby"
turns = 3
ratio = 0.5
quiet = true
"""


def test_parameters_have_the_types_of_their_defaults(plan_file):
    plan = read_plan(plan_file(PARAMS))
    other = read_plan(plan_file(PARAMS), params={"turns": "10", "quiet": "no", "room": "hall"})

    assert plan.params == {"room": "lobby", "turns": 3, "ratio": 0.5, "quiet": True}
    assert plan.target == "ws://127.0.0.1:9/?room=lobby"
    assert other.params == {"room": "hall", "turns": 10, "ratio": 0.5, "quiet": False}
    assert other.target == "ws://127.0.0.1:9/?room=hall"
    assert read_plan(plan_file(to_toml(other))) == other


def test_a_plan_without_parameters_takes_any(plan_file):
    assert read_plan(plan_file(""), params={"room": "5"}).params == {"room": "5"}


@pytest.mark.parametrize(
    ("text", "params", "why"),
    [
        (PARAMS, {"rome": "a"}, "--param rome: [params] has no such key; did you mean 'room'?"),
        (
            PARAMS,
            {"x": "a"},
            "--param x: [params] has no such key; write one of room, turns, ratio, quiet",
        ),
        (PARAMS, {"turns": "many"}, "--param turns=many: the plan's default is 3; write a whole"),
        ("[params]\na = [1]\n", {}, "line 1: `params[...]`: Expected `bool | int | float | str`"),
        ("[params]\nbig = 1e999\n", {}, "line 2: `params.big` is inf; write a number"),
    ],
)
def test_a_mistake_in_a_parameter_is_one_line(plan_file, text, params, why):
    with pytest.raises(PlanError) as caught:
        read_plan(plan_file(text), params=params)

    assert why in str(caught.value)


def test_a_script_may_think_as_long_as_a_parameter_says(plan_file):
    steps = '[{ do = "connect" }, { do = "think", seconds = "%%pause%%" }]'
    script = f'[[sessions]]\nkind = "script"\nname = "s"\nsteps = {steps}\n'

    read_plan(plan_file(f"[params]\npause = 5\n{script}"))
    read_plan(plan_file(script), params={"pause": "5"})
    with pytest.raises(PlanError, match="variable 'pause' is set nowhere"):
        read_plan(plan_file(script))


def test_a_place_in_a_file_is_its_line(plan_file):
    path = plan_file('expect = [\n"a",\n"b",\n]\n')

    assert place_in(path, "expect[1]") == f"{path}, line 4"
    assert place_in(path, "watch[0]") == f"{path}"


def test_a_setup_is_read_from_beside_the_plan(plan_file, tmp_path):
    (tmp_path / "prepare.py").write_text("def setup(params): ...\ndef teardown(data): ...\n")
    path = plan_file('[setup]\nfile = "prepare.py"\ntimeout = "5m"\n')
    setup = read_plan(path).setup

    assert (setup.timeout, setup.teardown) == (300.0, "teardown")
    assert setup.source.startswith("def setup")
    assert read_plan(plan_file(to_toml(read_plan(path)))).setup == setup


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[setup]\nfile = "x.py"\n', "line 1: `setup`: "),
        ('[setup]\nfile = "prepare.py"\nfunction = "fill"\n', "no function 'fill'; write def fill"),
        ('[setup]\nfile = "prepare.py"\ntimeout = 0\n', "line 3: `setup.timeout`: Expected"),
        ('[setup]\nfiel = "prepare.py"\n', "line 2: `setup`: Object contains unknown field `fiel`"),
    ],
)
def test_a_mistake_in_a_setup_has_its_line(plan_file, tmp_path, text, why):
    (tmp_path / "prepare.py").write_text("def setup(params): ...\n")
    with pytest.raises(PlanError) as caught:
        read_plan(plan_file(text))

    assert why in str(caught.value)
