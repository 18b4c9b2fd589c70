"""The live page during real runs of real agents."""

import json
import re
import signal
import urllib.request
from contextlib import closing

from loadgen.wire import WIRE, Hello, Post, to_wire
from tests.browser.watching import (
    accessibility_violations,
    fact,
    followed,
    holes,
    number,
    points,
    says_that_more_follows,
    shows,
    wider_than,
)
from tests.processes import Command, agent, command, eventually, free_port, get_json, target

OPEN = 400
RUN = ("--rate", "200", "--max", str(OPEN), "--think", "1", "--hold", "600")


def test_the_page_shows_how_far_publications_reach(tmp_path, page, server):
    publish = ("--publish", "target", "--publish-rate", "5")
    with followed(tmp_path, "--local", "1", *RUN, *publish, server.ws) as coord:
        page.goto(coord.url)
        page.locator('[data-fact="reach"]', has_text="100 %").wait_for()

        assert 0 < fact(page, "publications") <= coord.state()["publications"]["sent"]
        assert fact(page, "delivery received") > 0


def test_the_page_shows_checks_and_http_requests_with_their_samples(tmp_path, page, server):
    path = tmp_path / "checked.py"
    path.write_text(
        "async def session(user):\n"
        "    reply = await user.http.get('/no such page')\n"
        "    user.check('found', reply.status == 200)\n"
        "    user.check('even', user.number % 2 == 0)\n"
        "    await user.connect()\n"
        "    await user.think(600)\n"
    )
    run = ("--local", "1", "--rate", "50", "--max", "10", "--hold", "600", "--session", str(path))
    with followed(tmp_path / "runs", *run, server.ws) as coord:
        page.goto(coord.url)
        page.locator("#checks tr", has_text="even").get_by_text("50 %").wait_for()
        rows = page.locator("#checks tbody tr").all_inner_texts()

        assert [row.split()[0] for row in rows] == ["found", "even"]
        assert rows[0].split()[1:4] == ["0", "10", "0"]
        assert page.locator("#checks a", has_text="sample").count() == 2
        assert page.locator("#http tbody tr").inner_text().split()[1:3] == ["reply", "10"]
        assert page.locator('[data-fact="accepted"]').count() == 0, "its server says no yes"
        assert not accessibility_violations(page)


def test_the_page_says_that_certificates_are_not_verified(tmp_path, page):
    for options, said in ((("--insecure",), True), ((), False)):
        with followed(tmp_path, "--agents", "1", *RUN, *options, "wss://127.0.0.1:9/") as coord:
            page.goto(coord.url)
            page.locator("#state", has_text="gathering").wait_for()

            assert page.locator("#insecure").is_visible() == said
            assert not accessibility_violations(page)


def test_the_page_follows_a_run(tmp_path, page, shots, server):
    """One run shows all of it: while it goes on, and when an agent dies."""
    with followed(tmp_path, "--agents", "2", *RUN, server.ws) as coord:
        page.goto(coord.url)
        page.locator("#state", has_text="gathering").wait_for()
        with agent(coord.url, "--name", "a"), agent(coord.url, "--name", "b") as b:
            shows(page, OPEN)
            numbers_are_the_coordinators(page, coord)
            charts_grow(page)
            a_key_opens_an_agents_own_charts(page, shots)
            b.send(signal.SIGKILL)
            a_lost_agent_is_red(page, shots)


def numbers_are_the_coordinators(page, coord):
    """The figures on the page are those of the coordinator."""
    ledger = coord.state()["ledger"]
    for name in (
        "launched",
        "not_started",
        "connecting",
        "opened",
        "lost",
        "late",
    ):
        assert fact(page, name.replace("_", " ")) == ledger[name], name
    assert number(page.locator("#planned").inner_text()) == ledger["planned"]
    before = coord.state()["totals"]["pongs"]
    eventually(
        lambda: (
            number(page.locator('[data-fact="pings / pongs"]').inner_text().split(" / ")[1])
            > before
        ),
        "the pongs go on",
    )
    shown = number(page.locator('[data-fact="pings / pongs"]').inner_text().split(" / ")[1])
    assert before < shown <= coord.state()["totals"]["pongs"]
    eventually(
        lambda: page.locator("#alive").inner_text().startswith(f"{OPEN} verified alive"),
        lambda: page.locator("#alive").inner_text(),
    )


def charts_grow(page):
    """Each second adds a point, and no figure of an agent overflows its card."""
    seen = points(page)
    eventually(lambda: points(page) > seen + 1, "the chart grows")
    assert page.locator("#charts canvas").count() >= 9
    for width in (390, 700, 1000, 1280, 1440, 1920):
        assert (wider_than(page, width), holes(page)) == (0, []), width
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.locator("#agents button").count() == 2
    for figures in page.locator("#agents button").all():
        assert figures.evaluate("card => card.scrollWidth - card.clientWidth") == 0, (
            "no figure overflows its card"
        )


def a_key_opens_an_agents_own_charts(page, shots):
    """It is accessible in light, in the dark and on a phone, and Escape leads back."""
    page.locator('#agents button[data-agent="a"]').focus()
    page.keyboard.press("Enter")
    page.locator("#agent-title", has_text="Agent a").wait_for()
    assert page.locator("#agent-charts canvas").count() >= 5
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "running-light.png", full_page=True)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "running-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    assert wider_than(page, 390) == 0
    assert says_that_more_follows(page, page.locator("#latencies"))
    assert accessibility_violations(page) == []
    page.screenshot(path=shots / "running-phone.png", full_page=True)
    page.locator('#agents button[data-agent="a"]').focus()
    outline = "button => getComputedStyle(button).outlineWidth"
    assert page.locator("#agents button:focus").evaluate(outline) == "3px", "the focus is visible"
    page.keyboard.press("Escape")
    page.locator("#agent").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.dataset.agent") == "a"


def a_lost_agent_is_red(page, shots):
    """It is so within three seconds of its death."""
    page.locator('#agents button[data-agent="b"][data-health="bad"]').wait_for(timeout=3000)
    page.locator('#agents button[data-agent="a"][data-health="good"]').wait_for()
    page.locator("#log", has_text="b is lost").wait_for()
    eventually(lambda: fact(page, "lost") == OPEN // 2, "half of the connections are lost")
    page.locator("#ends", has_text="generator").wait_for()
    page.locator('#charts [data-chart="ends"] .legend', has_text="lost (generator)").wait_for()
    assert fact(page, "invalid seconds") > 0
    assert page.locator('[data-fact="lost"]').get_attribute("data-level") == "bad"
    page.screenshot(path=shots / "agent-lost.png", full_page=True)


def test_a_refusal_leads_to_the_reply_of_the_server(tmp_path, page):
    with (
        target("--vice", "refuse") as server,
        followed(tmp_path, "--local", "1", "--rate", "20", "--max", "100000", server.ws) as coord,
    ):
        page.goto(coord.url)
        page.locator("#log", has_text="the server answered 503").wait_for()
        link = page.get_by_role("link", name="sample of http_503")
        link.focus()
        number = page.locator("#ends td", has_text=re.compile(r"^\d+$"))
        before = number.inner_text()
        eventually(lambda: number.inner_text() != before, "the number of refusals grows")
        assert link.evaluate("link => link === document.activeElement")
        assert accessibility_violations(page) == []
        link.click()
        page.locator("pre", has_text="HTTP/1.1 503").wait_for()


def test_a_chart_is_read_with_the_keyboard(tmp_path, page, server):
    with followed(tmp_path, "--local", "1", *RUN, server.ws) as coord:
        page.goto(coord.url)
        eventually(
            lambda: page.locator("#charts canvas").count() and points(page) > 3, "a chart is drawn"
        )
        chart = page.locator('#charts [data-chart="connections"]')
        chart.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")

        assert re.match(
            r"0:01: open \d+, verified alive", chart.locator("[aria-live]").inner_text()
        )
        # The reasons of a mark follow: on a busy machine no core is idle.
        assert chart.locator(".key").inner_text().startswith("at 0:01")


def test_a_silent_coordinator_is_shown_and_no_second_is_missed(tmp_path, page, server):
    with followed(tmp_path, "--agents", "1", *RUN, server.ws) as coord, agent(coord.url):
        page.goto(coord.url)
        shows(page, OPEN)
        coord.send(signal.SIGSTOP)
        try:
            page.locator("#banner", has_text="No event from the coordinator").wait_for()
            before = points(page)
        finally:
            coord.send(signal.SIGCONT)
        page.locator("#banner").wait_for(state="hidden")
        eventually(lambda: points(page) > before + 3, "the chart grows again")
        second = get_json(f"{coord.url}/v1/run/seconds")["seconds"][-1]["second"]
        eventually(lambda: points(page) > second, "no second is missing")


def test_the_page_follows_a_run_that_another_coordinator_resumes(tmp_path, page, server):
    """The charts have every second, also those before the first coordinator's end."""
    listen = f"127.0.0.1:{free_port()}"
    # The second coordinator does not send the first one's scrapes again.
    watch = ("--watch", f"itself=http://{listen}/metrics")
    with (
        followed(tmp_path, "--agents", "1", *watch, *RUN, server.ws, listen=listen) as coord,
        agent(coord.url),
    ):
        page.goto(coord.url)
        shows(page, OPEN)
        eventually(lambda: points(page) > 8, "some seconds are drawn")
        coord.send(signal.SIGKILL)
        coord.end()
        page.locator("#banner", has_text="No event from the coordinator").wait_for()
        with closing(Command(command("loadgen-coord", "--resume", str(coord.folder)))) as again:
            page.locator("#banner").wait_for(state="hidden")
            before = points(page)
            eventually(lambda: points(page) > before + 3, "the chart grows again")
            seconds = [row["second"] for row in get_json(f"{coord.url}/v1/run/seconds")["seconds"]]
            assert seconds == list(range(len(seconds)))
            eventually(
                lambda: points(page) >= len(seconds), lambda: f"{points(page)} of {len(seconds)}"
            )
            again.send(signal.SIGINT)
            assert again.end() == 130


def test_another_run_on_the_same_port_starts_anew(tmp_path, page, server):
    listen = f"127.0.0.1:{free_port()}"
    with followed(tmp_path / "one", "--local", "1", *RUN, server.ws, listen=listen) as first:
        page.goto(first.url)
        shows(page, OPEN)
        first.send(signal.SIGKILL)
        first.end()
    page.locator("#banner", has_text="No event from the coordinator").wait_for()
    with followed(tmp_path / "two", "--agents", "1", *RUN, server.ws, listen=listen) as second:
        key = second.state()["key"]
        page.locator("#foot", has_text=f"run {key}").wait_for()
        page.locator("#state", has_text="gathering").wait_for()
        assert page.locator("#open").inner_text() == "0"
        assert page.locator("#log li").all_inner_texts() == ["0:00\nwaiting for agents"]
        with agent(second.url, "--name", "later"):
            shows(page, OPEN)


def test_texts_of_agents_are_shown_as_text(tmp_path, page, server):
    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    with followed(tmp_path, "--agents", "2", *RUN, server.ws) as coord:
        page.goto(coord.url)
        hello = Hello(evil, WIRE, "0.1.0", 10, (), {})
        with closing(urllib.request.urlopen(f"{coord.url}/v1/agents", to_wire(hello))) as reply:
            welcome = json.loads(reply.read())
        post = to_wire(Post(refusal=evil, notes=(evil,)))
        urllib.request.urlopen(f"{coord.url}/v1/agents/{welcome['id']}/seconds", post).close()

        page.locator("#log", has_text="onerror").first.wait_for()
        page.locator("#agents", has_text="onerror").wait_for()
        assert page.locator("main img, main script").count() == 0
        assert "broken" not in page.title()


def test_no_label_of_an_axis_stands_twice_in_the_first_seconds(tmp_path, page, server):
    """Every label has its unit, too."""
    with followed(tmp_path, "--agents", "1", *RUN, server.ws) as coord:
        page.goto(coord.url)
        drawn = page.evaluate("""async () => {
            const { Model, Columns } = await import("/page/model.js");
            const { AGENT, Charts, FLEET } = await import("/page/charts.js");
            const texts = new Map();  // what each canvas shows
            const context = CanvasRenderingContext2D.prototype;
            const { clearRect, fillText } = context;
            context.clearRect = function (...rest) {
                texts.set(this.canvas, []);
                clearRect.apply(this, rest);
            };
            context.fillText = function (text, ...rest) {
                if (text) texts.get(this.canvas).push(text);
                fillText.call(this, text, ...rest);
            };
            const parent = document.createElement("div");
            document.querySelector("main").append(parent);
            const run = { invalid: new Map(), saturated: new Map(), marks: new Map() };
            const shown = [];
            for (const each of [0, 0.003, 1, 2, 7, 60, 12345]) {
                for (const definitions of [FLEET, AGENT]) {
                    const charts = new Charts(parent, definitions, run, "test");
                    const columns = new Columns();
                    for (let second = 0; second < 3; second += 1) {
                        const names = definitions.flatMap(({ series }) =>
                            typeof series === "function" ? ["end server: failed http_503"]
                                : series.map(({ column }) => column));
                        columns.put(second, names.map((name) => [name, each]));
                        charts.show(columns);
                        await new Promise((done) => setTimeout(done));
                        for (const { figure } of charts.charts) {
                            if (figure.hidden) continue;
                            const labels = texts.get(figure.querySelector("canvas"));
                            shown.push({ each, second, labels, chart: figure.dataset.chart,
                                legend: figure.querySelector(".legend b").textContent });
                        }
                    }
                    charts.remove();
                }
            }
            return shown;
        }""")

    assert len(drawn) >= 7 * 3 * 19, "all charts of the fleet and of an agent"
    assert [of for of in drawn if len({*of["labels"]}) < len(of["labels"])] == []
    times = {label for of in drawn for label in of["labels"] if ":" in label}
    assert times == {"0:00", "0:01", "0:02"}
    units = {"ping_rtt": " ms", "arrivals": "/s", "bytes": "B/s", "host": " %"}
    for of in drawn:
        values = [label for label in of["labels"] if ":" not in label]
        unit = units.get(of["chart"], "")
        assert all(value.endswith(unit) for value in [*values, of["legend"]]), of


def test_an_hour_of_seconds_is_drawn(tmp_path, page, server):
    """Every chart has at most 3,600 points."""
    with followed(tmp_path, "--agents", "1", *RUN, server.ws) as coord:
        page.goto(coord.url)
        drawn = page.evaluate("""async () => {
            const { Model } = await import("/page/model.js");
            const { Charts, FLEET } = await import("/page/charts.js");
            const model = new Model({
                statistics: ["p50", "p90", "p95", "p99", "max"], agent_series: ["open", "cpu_s"] });
            const parent = document.createElement("div");
            document.querySelector("main").append(parent);
            const charts = new Charts(parent, FLEET, model, "test");
            const sample = (second) => ({ second,
                fleet: { open: second, launched: 1000, cpu_s: second / 2, rss: 1e8 },
                latencies: { handshake: [1, 2, 3, 4 + second % 7] },
                ends: Object.fromEntries(Array.from({ length: 12 }, (_, at) =>
                    [`server: failed why_${at}`, at])),
                invalid: second % 100 ? [] : ["why"], saturated: [], own: {},
                agents: Object.fromEntries(Array.from({ length: 16 }, (_, at) =>
                    [`a${at}`, [second, second / 2]])) });
            for (let second = 0; second < 3700; second += 1) model.take(sample(second));
            charts.show(model.fleet);
            const begin = performance.now();
            for (let second = 3700; second < 3720; second += 1) {
                model.take(sample(second));
                charts.show(model.fleet);
            }
            await new Promise((done) => requestAnimationFrame(done));
            return { points: model.fleet.seconds.length, first: model.fleet.seconds[0],
                cores: model.fleet.column("cores").at(-1), each: (performance.now() - begin) / 20,
                shown: parent.querySelectorAll("canvas").length,
                ends: [...parent.querySelectorAll('[data-chart="ends"] .legend > span')]
                    .map((of) => of.textContent) };
        }""")

        assert (drawn["points"], drawn["first"], drawn["cores"]) == (3600, 120, 0.5)
        assert drawn["shown"] == 6
        assert drawn["ends"] == [
            *(f"failed why_{at} (server) {at}/s" for at in range(11, 3, -1)),
            "4 other reasons 6/s",
        ]
        assert drawn["each"] < 250, "a second is drawn in a quarter of a second, on a slow machine"
