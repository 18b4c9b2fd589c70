"""The plan that a command line asks for: options, files, and the two together."""

from pathlib import Path

import pytest

from coordinator.cli.coord import coord
from coordinator.cli.plans import (
    check_tls,
    is_given,
    plan_from_options,
    plan_from_tsung,
    with_conditions,
)
from loadgen.errors import PlanError
from loadgen.plan.compress import Compress
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.transport import Transport
from loadgen.planfile import to_toml

TSUNG = Path(__file__).parents[1] / "tsung" / "taken"
SESSION = "async def session(user):\n    await user.think(1)\n\nasync def guest(user):\n    pass\n"


def parsed(*arguments):
    """Returns the context of a command line, which holds its options."""
    return coord.make_context("loadgen-coord", list(map(str, arguments)))


def plan_of_options(*arguments):
    context = parsed(*arguments)
    return plan_from_options(context, context.params)


def import_of(*arguments):
    """Returns the plan of a command line with --tsung.

    The command line's options after the import follow it.
    """
    context = parsed(*arguments)
    plan = plan_from_tsung(context, context.params)
    return plan, context.params


@pytest.fixture
def plan_file(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_bytes(to_toml(Plan(target="ws://10.0.0.1:80/", max=7, rate=3.0, hold=9.0)))
    return path


@pytest.fixture
def session_file(tmp_path):
    path = tmp_path / "login.py"
    path.write_text(SESSION)
    return path


def test_without_options_the_plan_is_the_reference_run():
    assert plan_of_options() == Plan()


def test_each_option_is_a_key_of_the_plan():
    plan = plan_of_options(
        *("ws://10.0.0.1:80/", "--rate", 5, "--max", 10, "--arrival", "poisson", "--seed", 3),
        *("--hold", "1m", "--think", "500ms", "--loops", 2, "--ping", "app"),
    )

    assert plan == Plan(
        target="ws://10.0.0.1:80/",
        rate=5.0,
        max=10,
        arrival="poisson",
        seed=3,
        hold=60.0,
        think=0.5,
        loops=2,
        ping="app",
    )


HEADERS = ("--header", "x-a: 1", "--header", "Host:rt.test:80", "--header", "Origin: http://b")


def test_headers_are_those_of_the_plans_transport(session_file):
    headers = {"x-a": "1", "Host": "rt.test:80", "Origin": "http://b"}

    assert plan_of_options(*HEADERS).transport == Transport(headers=headers)
    assert plan_of_options("--session", session_file, *HEADERS).transport.headers == headers
    assert import_of("--tsung", TSUNG / "options.xml", *HEADERS)[0].transport.headers == headers


def test_a_header_replaces_the_plans_of_the_same_name(tmp_path):
    path = tmp_path / "plan.toml"
    headers = {"X-A": "0", "X-B": "2"}
    path.write_bytes(to_toml(Plan(transport=Transport(headers=headers, origin="http://a"))))

    transport = plan_of_options("--plan", path, *HEADERS).transport
    assert transport.headers == {"X-B": "2", "x-a": "1", "Host": "rt.test:80", "Origin": "http://b"}
    assert transport.origin == ""
    assert plan_of_options("--plan", path, "--header", "X-C: 3").transport.origin == "http://a"


def test_a_header_is_given_once():
    with pytest.raises(PlanError, match="--header x-a is there twice; write its values into one"):
        plan_of_options("--header", "X-A: 1", "--header", "x-a: 2")


def test_the_files_of_tls_have_whole_paths(tmp_path, session_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--target-ca", "ca.pem", "--target-cert", "/x/c.pem", "--target-key", "k.pem")
    expected = Transport(
        tls_ca=f"{tmp_path}/ca.pem", tls_cert="/x/c.pem", tls_key=f"{tmp_path}/k.pem"
    )

    assert plan_of_options(*options).transport == expected
    assert plan_of_options("--session", session_file, *options).transport == expected
    imported = import_of("--tsung", TSUNG / "options.xml", *options)[0].transport
    assert (imported.tls_ca, imported.tls_verify) == (expected.tls_ca, True)


def test_a_certificate_of_the_options_leaves_the_plans_key_out(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[transport]\ntls_ca = "a.pem"\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')

    kept = plan_of_options("--plan", path).transport
    changed = plan_of_options("--plan", path, "--target-cert", "/own.pem").transport

    assert (kept.tls_cert, kept.tls_key) == (f"{tmp_path}/c.pem", f"{tmp_path}/k.pem")
    assert (changed.tls_cert, changed.tls_key) == ("/own.pem", "")
    assert changed.tls_ca == f"{tmp_path}/a.pem"


def test_insecure_trusts_any_certificate_whatever_the_plan_trusts(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[transport]\ntls_ca = "a.pem"\n')

    transport = plan_of_options("--plan", path, "--insecure").transport

    assert (transport.tls_verify, transport.tls_ca) == (False, "")
    with pytest.raises(PlanError, match="--insecure accepts any certificate, so --target-ca has"):
        plan_of_options("--insecure", "--target-ca", "a.pem")


@pytest.mark.parametrize("option", [("--insecure",), ("--target-ca", "a"), ("--target-cert", "a")])
def test_options_about_tls_have_no_effect_without_it(option):
    context = parsed(*option)
    secure = Plan(target="wss://a.test/")

    with pytest.raises(PlanError) as caught:
        check_tls(context, Plan())
    assert str(caught.value) == f"{option[0]} has no effect: no URL of the plan begins with wss://"
    check_tls(context, secure)
    check_tls(parsed(), Plan())


def test_headers_in_the_environment_stand_on_a_line_each(monkeypatch):
    monkeypatch.setenv("LOADGEN_COORD_HEADER", "X-A: a b\nX-B: c, d")
    context = coord.make_context("loadgen-coord", [], auto_envvar_prefix="LOADGEN_COORD")
    plan = plan_from_options(context, context.params)

    assert plan.transport.headers == {"X-A": "a b", "X-B": "c, d"}


def test_compression_needs_no_value_even_before_the_target():
    for arguments in (["--compress", "ws://10.0.0.1:80/"], ["ws://10.0.0.1:80/", "--compress"]):
        plan = plan_of_options(*arguments, "--max", 7)

        assert (plan.target, plan.max) == ("ws://10.0.0.1:80/", 7)
        assert plan.transport == Transport(compress=True)


def test_compression_may_have_parameters(session_file):
    offer = "--compress=server_no_context_takeover; client_max_window_bits=9; level=1"
    compress = Compress(server_no_context_takeover=True, client_max_window_bits=9, level=1)

    assert plan_of_options(offer).transport.compress == compress
    assert plan_of_options("--session", session_file, offer).transport.compress == compress
    assert import_of("--tsung", TSUNG / "options.xml", offer)[0].transport.compress == compress


def test_compression_replaces_the_plans(tmp_path):
    path = tmp_path / "plan.toml"
    compress = Compress(client_max_window_bits=9)
    path.write_bytes(to_toml(Plan(transport=Transport(compress=compress))))

    assert plan_of_options("--plan", path).transport.compress == compress
    assert plan_of_options("--plan", path, "--compress").transport.compress is True
    assert plan_of_options("--plan", path, "--compress=off").transport.compress is False


@pytest.mark.parametrize(
    ("text", "compress"),
    [("1", True), ("off", False), ("level=9", Compress(level=9))],
)
def test_compression_in_the_environment_has_a_value(monkeypatch, text, compress):
    monkeypatch.setenv("LOADGEN_COORD_COMPRESS", text)
    context = coord.make_context("loadgen-coord", [], auto_envvar_prefix="LOADGEN_COORD")

    assert plan_from_options(context, context.params).transport.compress == compress


WAY = ("--proxy", "socks5h://u:p@proxy:1080", "--proxy-protocol", "2")


def test_the_way_to_the_targets_is_that_of_the_plans_transport(session_file, tmp_path):
    way = Transport(proxy="socks5h://u:p@proxy:1080", proxy_protocol=2)
    path = tmp_path / "plan.toml"
    path.write_bytes(to_toml(Plan(transport=Transport(proxy="http://other:1", origin="http://a"))))

    assert plan_of_options(*WAY).transport == way
    assert plan_of_options("--session", session_file, *WAY).transport == way
    assert import_of("--tsung", TSUNG / "options.xml", *WAY)[0].transport.proxy == way.proxy
    assert plan_of_options("--plan", path).transport.proxy == "http://other:1"
    over = plan_of_options("--plan", path, *WAY).transport
    assert (over.proxy, over.proxy_protocol, over.origin) == (way.proxy, 2, "http://a")


def test_a_given_option_wins_over_the_plan_file_and_a_default_does_not(plan_file):
    plan = plan_of_options("--plan", plan_file, "--max", 8)

    assert plan == Plan(target="ws://10.0.0.1:80/", max=8, rate=3.0, hold=9.0)


def test_an_option_that_the_plan_file_overrules_is_refused(tmp_path):
    path = tmp_path / "phases.toml"
    path.write_text("phases = [{ rate = 1.0, max = 5 }]\n")

    with pytest.raises(PlanError, match=f"--rate has no effect beside what {path} has instead"):
        plan_of_options("--plan", path, "--rate", 5)


def test_an_option_in_the_environment_counts_as_given(monkeypatch):
    monkeypatch.setenv("LOADGEN_COORD_RATE", "5")
    context = coord.make_context("loadgen-coord", [], auto_envvar_prefix="LOADGEN_COORD")

    assert context.params["rate"] == 5.0
    assert is_given(context, "rate")
    assert not is_given(context, "max")


@pytest.mark.parametrize(
    ("suffix", "name", "function"), [("", "login", "session"), (":guest", "guest", "guest")]
)
def test_a_session_file_replaces_the_loop(session_file, suffix, name, function):
    plan = plan_of_options("--session", f"{session_file}{suffix}", "--max", 5)
    (session,) = plan.sessions

    assert plan.max == 5
    assert (session.name, session.function, session.source) == (name, function, SESSION)


@pytest.mark.parametrize("option", ["--ping app", "--loops 1", "--think 1"])
def test_an_option_of_the_loop_is_refused_beside_a_session(session_file, option):
    name = option.split()[0]

    with pytest.raises(PlanError, match=f"so does {name}; leave one of them out"):
        plan_of_options("--session", session_file, *option.split())


def test_a_tsung_configuration_brings_its_clients_and_notes(capsys):
    path = TSUNG / "clients.xml"
    plan, options = import_of("--tsung", path)

    assert [client.name for client in plan.clients] == ["one", "two", "three"]
    assert (options["agents"], options["local"]) == (3, None)
    assert f"loadgen-coord: {path}:8: <ip value=" in capsys.readouterr().err


def test_local_agents_take_the_place_of_the_clients_of_tsung():
    plan, options = import_of("--tsung", TSUNG / "clients.xml", "--local", 2)

    assert plan.clients == ()
    assert (options["agents"], options["local"]) == (None, 2)


def test_target_maximum_and_hold_win_over_the_tsung_configuration():
    plan, _ = import_of(
        "wss://10.0.0.9:443", "--tsung", TSUNG / "clients.xml", "--max", 4, "--hold", "5"
    )

    assert plan.servers[0].url.startswith("wss://10.0.0.9")
    assert (plan.total, plan.hold) == (4, 5.0)


def test_the_form_of_the_log_is_that_of_tsung_unless_it_is_given():
    path = TSUNG / "options.xml"
    _, options = import_of("--tsung", path)
    _, given = import_of("--tsung", path, "--tsung-log", "none")

    assert options["tsung_log"] == "json"
    assert given["tsung_log"] == "none"


@pytest.mark.parametrize("option", ["--rate 1", "--seed 1", "--think 1", "--ping app"])
def test_an_option_that_the_tsung_configuration_sets_is_refused(option):
    name = option.split()[0]

    with pytest.raises(PlanError, match=f"sets what {name} sets; leave one of them out"):
        import_of("--tsung", TSUNG / "clients.xml", *option.split())


@pytest.mark.parametrize(
    ("options", "publish"),
    [
        (["--publish", "target"], Publish()),
        (["--publish", "target", "--publish-rate", "5"], Publish(rate=5.0)),
        (
            ["--publish", "https://h/x", "--publish-rate", "0.5"],
            Publish(url="https://h/x", rate=0.5),
        ),
        (["--publish", "external"], Publish(by="external")),
        ([], None),
    ],
)
def test_a_publisher_is_a_table_of_the_plan(plan_file, options, publish):
    assert plan_of_options(*options).publish == publish
    assert plan_of_options("--plan", plan_file, *options).publish == publish
    assert import_of("--tsung", TSUNG / "clients.xml", *options)[0].publish == publish


def test_sessions_publish_in_a_session_file_only(session_file):
    plan = plan_of_options("--session", session_file, "--publish", "session")

    assert plan.publish == Publish(by="session")
    with pytest.raises(PlanError, match=r"has to call user\.stamp"):
        plan_of_options("--publish", "session")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("--publish foo", "'foo' is not an http:// or https:// URL"),
        ("--publish-rate 5", "has no effect without --publish URL"),
        ("--publish external --publish-rate 5", "has no effect without --publish URL"),
        ("--publish target --publish-rate 1001", "more than 1000"),
    ],
)
def test_a_publisher_that_can_not_be_is_refused(options, what):
    with pytest.raises(PlanError, match=what):
        plan_of_options(*options.split())


def test_parameters_of_the_command_line_go_into_the_plan(plan_file, session_file):
    room = ("--param", "room=lobby", "--param", "n=5")

    assert plan_of_options("--session", session_file, *room).params == {"room": "lobby", "n": "5"}
    assert plan_of_options("--plan", plan_file, *room).params == {"room": "lobby", "n": "5"}
    filled = plan_of_options("ws://a/?room=%%room%%", "--header", "X: %%n%%", *room)
    assert (filled.target, filled.transport.headers) == ("ws://a/?room=lobby", {"X": "5"})


def test_the_parameters_of_a_plan_file_are_declared_there(plan_file):
    plan_file.write_text("[params]\nturns = 3\n")

    assert plan_of_options("--plan", plan_file, "--param", "turns=5").params == {"turns": 5}
    with pytest.raises(PlanError, match="has no such key; did you mean 'turns'"):
        plan_of_options("--plan", plan_file, "--param", "turn=5")


def test_a_tsung_file_has_no_parameters():
    with pytest.raises(PlanError, match="--param has no effect beside --tsung"):
        import_of("--tsung", TSUNG / "options.xml", "--param", "a=1")


CONDITIONS = b"""expect = ["failed<1%"]
abort_on = ["failed>5%:for 10s"]
watch = ["server=http://10.0.0.2:9100/metrics", "db=http://10.0.0.3:9100/metrics"]
"""


def conditions_of(path, *arguments):
    """Returns the conditions of a plan file together with those of the options."""
    context = parsed("--plan", path, *arguments)
    plan = with_conditions(plan_from_options(context, context.params), context.params)
    return plan.expect, plan.abort_on, plan.watch


def test_options_add_to_what_a_plan_file_expects_and_watches(plan_file):
    server, db = "server=http://10.0.0.2:9100/metrics", "db=http://10.0.0.3:9100/metrics"
    plan_file.write_bytes(CONDITIONS)

    assert conditions_of(plan_file) == (("failed<1%",), ("failed>5%:for 10s",), (server, db))
    assert conditions_of(
        plan_file,
        *("--expect", "opened>=7", "--expect", "failed<1%", "--abort-on", "lost>9"),
        *("--watch", "db=http://10.0.0.9/m", "--watch", "cache=http://10.0.0.4/m"),
    ) == (
        ("failed<1%", "opened>=7"),
        ("failed>5%:for 10s", "lost>9"),
        (server, "db=http://10.0.0.9/m", "cache=http://10.0.0.4/m"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            'expect = ["opened>1",\n"failled<1%"]',
            "line 2: `expect[1]` 'failled<1%': 'failled' is not",
        ),
        (
            'abort_on = ["plateau_s>1"]',
            "line 1: `abort_on[0]` 'plateau_s>1': plateau_s is only known",
        ),
        ('abort_on = ["failed>1:for ever"]', "line 1: `abort_on[0]` 'failed>1:for ever': 'ever'"),
        ('watch = ["server"]', "line 1: `watch[0]`: 'server' is not NAME=URL; write"),
        ("expect = [5]", "line 1: `expect[0]`: Expected `str`"),
    ],
)
def test_a_wrong_condition_of_a_plan_file_is_named_with_its_line(tmp_path, text, why):
    path = tmp_path / "plan.toml"
    path.write_text(text)

    with pytest.raises(PlanError) as caught:
        plan_of_options("--plan", path)
    assert why in str(caught.value)


def test_a_setup_of_the_command_line_replaces_that_of_the_plan_file(tmp_path, plan_file):
    path = tmp_path / "prepare.py"
    path.write_text("def setup(params): ...\ndef fill(params): ...\n")
    with plan_file.open("ab") as file:
        file.write(b'[setup]\nfile = "prepare.py"\n')

    assert plan_of_options("--setup", path).setup.function == "setup"
    assert plan_of_options("--plan", plan_file).setup.function == "setup"
    assert plan_of_options("--plan", plan_file, "--setup", f"{path}:fill").setup.function == "fill"
    assert import_of("--tsung", TSUNG / "options.xml", "--setup", path)[0].setup.file == str(path)
    assert plan_of_options().setup is None
