"""A browser's recording becomes a session, and a fleet plays it."""

from tests.login_server import login_process
from tests.processes import coordinator, environment, run

PAGE = """async (port) => {
  const login = await fetch('/login', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({user: 'alice', password: 'hunter22'}),
  });
  const token = (await login.json()).token;
  const ws = new WebSocket(`ws://127.0.0.1:${port}/ws?token=${token}`);
  await new Promise(done => ws.onopen = done);
  for (const text of ['hello', JSON.stringify({type: 'join', token})]) {
    const next = new Promise(done => ws.onmessage = done);
    ws.send(text);
    await next;
    await new Promise(done => setTimeout(done, 200));
  }
  ws.close();
}"""


def test_a_recorded_login_and_chat_is_written_and_played(chromium, tmp_path):
    har, session = tmp_path / "chat.har", tmp_path / "chat.py"
    with login_process() as port:
        url = f"http://127.0.0.1:{port}/me"
        context = chromium.new_context(record_har_path=har, record_har_content="embed")
        page = context.new_page()
        page.goto(url)
        page.evaluate(PAGE, port)
        context.close()
        written = run("loadgen-coord", "--har", str(har), "--write-session", str(session))
        text = session.read_text()

        assert written.returncode == 0, written.stderr
        assert "hunter22" not in text
        assert 'token = (await login.json())["token"]' in text
        assert 'await ws.send_json({"type": "join", "token": token})' in text
        target = f"ws://127.0.0.1:{port}/ws"
        options = ("--session", str(session), "--local", "1", "--max", "5", "--hold", "sessions")
        known = environment() | {"PASSWORD": "other"}
        with coordinator(tmp_path, *options, target, env=known) as coord:
            assert coord.end(seconds=60) == 0, coord.err + coord.out
        summary = coord.summary()

    assert summary["closed"] == {"done": 5}
    assert summary["checks"] == {"login": {"passed": 5, "failed": 0}}
