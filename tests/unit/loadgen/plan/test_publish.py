"""The table `[publish]`: its mistakes, channels, and template of requests."""

import msgspec
import pytest

from loadgen.errors import PlanError
from loadgen.plan.publish import ANNOUNCE_IN, Publish, embedded_url

TARGET = "ws://10.0.0.2:9505/v1/realtime?project=console&channels[]=files&channels[]=docs"
STAMP = "lg1:here-run.0:7:123;"


def request(**table):
    publish = Publish(**table)
    assert list(publish.mistakes()) == []
    return publish.request(TARGET, stamp=STAMP, sequence=7, channel='fi"les')


def test_by_default_it_speaks_to_the_embedded_target():
    made = request()

    assert (made.method, made.url) == ("POST", "http://10.0.0.2:9505/publish")
    assert made.headers == {"Content-Type": "application/json"}
    assert msgspec.json.decode(made.body) == {"channels": ['fi"les'], "payload": STAMP}


def test_the_target_of_tls_publishes_over_tls():
    assert embedded_url("wss://rt.example.com/v1?x=1") == "https://rt.example.com/publish"


def test_a_template_has_its_fields_replaced_everywhere():
    made = request(
        url="https://api.example.com/{{channel}}/messages",
        method="PUT",
        headers={"X-Number": "{{sequence}}", "content-type": "application/vnd.api+json"},
        body={"data": {"n": "{{ sequence }}", "text": "a {{stamp}} b"}},
    )

    assert (made.method, made.url) == ("PUT", "https://api.example.com/fi%22les/messages")
    assert made.headers == {"X-Number": "7", "content-type": "application/vnd.api+json"}
    assert msgspec.json.decode(made.body) == {"data": {"n": "7", "text": f"a {STAMP} b"}}


def test_a_number_may_be_a_field_of_json():
    made = request(body='{"n": {{sequence}}, "to": "{{channel}}", "text": "{{stamp}}"}')

    assert msgspec.json.decode(made.body) == {"n": 7, "to": 'fi"les', "text": STAMP}
    assert made.headers == {"Content-Type": "application/json"}


def test_a_body_that_is_no_json_is_sent_as_it_is():
    made = request(body="text={{stamp}}&to={{channel}}")

    assert made.body == f'text={STAMP}&to=fi"les'.encode()
    assert made.headers == {}


@pytest.mark.parametrize(
    ("table", "at", "what"),
    [
        ({"body": "{{stmp}} {{stamp}}"}, "body", "unknown field {{stmp}}; did you mean {{stamp}}?"),
        ({"headers": {"X": "{{chanel}}"}}, "headers.X", "did you mean {{channel}}?"),
        ({"url": "http://h/{{x}}"}, "url", "unknown field {{x}}"),
        ({"body": {"text": "nothing"}}, "body", "has no {{stamp}}"),
        ({"url": "ftp://h/"}, "url", "'ftp://h/' is not an http:// or https:// URL"),
        ({"by": "external", "url": "http://h/"}, "url", 'no effect with `by = "external"`'),
        ({"stamp_json": "a", "stamp_offset": 0}, "stamp_offset", "beside `stamp_json`"),
    ],
)
def test_a_mistake_is_reported_with_its_key(table, at, what):
    ((key, text),) = Publish(**table).mistakes()

    assert key == at
    assert what in text


def test_a_regular_expression_has_to_be_one():
    with pytest.raises(PlanError, match="is no regular expression"):
        list(Publish(by="session", stamp_regex="(").mistakes())


def test_channels_are_those_of_the_targets_unless_they_are_given():
    assert Publish().channels_in((TARGET, TARGET)) == ("files", "docs")
    assert Publish(channels=("a", "b")).channels_in((TARGET,)) == ("a", "b")
    assert Publish().channels_in(("ws://h/chat",)) == ("",)
    assert Publish(channel_parameter="room").channels_of("/chat?room=7&channels[]=x") == ("7",)


def test_the_last_publication_leaves_time_to_be_announced_and_received():
    assert Publish(grace=0.5).lead == ANNOUNCE_IN
    assert Publish(grace=60).lead == 60


def test_only_the_publications_of_sessions_have_no_order():
    assert {by: Publish(by=by).ordered for by in ("http", "external", "session")} == {
        "http": True,
        "external": True,
        "session": False,
    }
