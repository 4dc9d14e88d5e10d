"""What the client makes of answers, good and bad ones; the launcher's own answers are tried in test_hub."""

import asyncio
import json
import ssl

import pytest
from certipy import Certipy
from slipway_spawner.client import LauncherClient, LauncherError, LauncherUnavailableError
from slipway_spawner.overview import Overview
from slipway_spawner.patience import passing, persist
from tornado import httpserver, netutil, web

NOW = asyncio.Event()
NOW.set()

SERVER = {"hub": "main", "user": "a", "name": "", "namespace": "n", "pod": "p", "uid": "u", "state": "Running"}


class Wire(web.RequestHandler):
    """Answers what the test says, and notes what was asked."""

    async def prepare(self):
        self.application.asked.append(self.request)
        answer = self.application.answers.pop(0)
        self.set_status(answer.get("status", 200))
        self.set_header("Content-Type", answer.get("type", "application/json"))
        for piece in answer.get("pieces", ()):
            self.write(piece)
            await self.flush()
        if "cut" in answer:
            await answer["cut"].wait()
            self.request.connection.stream.close()
            raise web.Finish
        body = answer.get("body")
        self.finish(body if body is None or isinstance(body, bytes) else json.dumps(body))


@pytest.fixture
async def wire():
    app = web.Application([(r".*", Wire)])
    app.asked, app.answers = [], []
    server = httpserver.HTTPServer(app)
    (sock,) = netutil.bind_sockets(0, "127.0.0.1")
    server.add_socket(sock)
    app.port = sock.getsockname()[1]
    app.client = LauncherClient(f"http://127.0.0.1:{app.port}", hub="main")
    yield app
    app.client.close()
    server.stop()


def problem(status, code, **more):
    body = {"title": "No", "status": status, "detail": "One sentence", "code": code, **more}
    return {"status": status, "type": "application/problem+json", "body": body}


async def test_server_that_is_not_there(wire):
    wire.answers = [problem(404, "NotFound"), {"status": 204}]
    assert await wire.client.get("a", "") is None
    assert await wire.client.stop("a", "") is None


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "type": "text/html", "body": b"<h1>nginx</h1>"},
        {"status": 404, "body": {"message": "somebody else's"}},
        {"status": 200, "type": "text/html", "body": b"<h1>Welcome</h1>"},
        {"status": 302, "body": b""},
        problem(404, "NoSuchPath"),
        problem(401, "Unauthenticated"),
        problem(403, "HubNotAllowed"),
        problem(503, "NotReady"),
        problem(500, "InternalError"),
        {"cut": NOW},
    ],
)
async def test_nothing_but_the_launchers_own_word_means_that_a_server_is_gone(wire, answer):
    wire.answers = [answer]
    with pytest.raises(LauncherUnavailableError):
        await wire.client.get("a", "")


async def test_denial_is_given_whole(wire):
    wire.answers = [problem(403, "ProfileNotAllowed", detail="The profile gpu is for the group staff")]
    with pytest.raises(LauncherError) as denied:
        await wire.client.start("a", "", {}, 5)
    assert (denied.value.status, denied.value.code) == (403, "ProfileNotAllowed")
    assert denied.value.sentence == "The profile gpu is for the group staff"
    assert not passing(denied.value)
    assert not isinstance(denied.value, LauncherUnavailableError)


async def test_what_may_go_well_a_moment_later_is_asked_again(wire):
    wire.answers = [problem(503, "NotReady"), problem(409, "PolicyChanged", retryable=True), {"body": SERVER}]
    troubles = []
    server = await persist(lambda: wire.client.start("a", "", {}, 5), troubles.append)
    assert server.pod == "p"
    assert [t.code for t in troubles] == ["NotReady", "PolicyChanged"]


async def test_hub_that_is_not_allowed_is_not_asked_for_again(wire):
    wire.answers = [problem(403, "HubNotAllowed")]
    with pytest.raises(LauncherUnavailableError):
        await persist(lambda: wire.client.get("a", ""), lambda _: None)


@pytest.mark.parametrize(
    ("user", "name", "path"),
    [
        ("alice", "", "/v1/hubs/main/users/alice/server"),
        ("alice", "lab", "/v1/hubs/main/users/alice/servers/lab"),
        ("a/b c@d.é", "x?y#z%", "/v1/hubs/main/users/a%2Fb%20c%40d.%C3%A9/servers/x%3Fy%23z%25"),
        ("..", ".", "/v1/hubs/main/users/%2E%2E/servers/%2E"),
    ],
)
async def test_names_are_one_segment_of_the_path_whatever_is_in_them(wire, user, name, path):
    wire.answers = [{"body": SERVER}]
    await wire.client.get(user, name)
    assert wire.asked[0].path == path


async def test_questions_carry_what_they_are_about(wire):
    wire.answers = [
        {"body": {"profiles": []}},
        {"status": 202, "body": {**SERVER, "state": "Stopping"}},
        {"body": {"claims": []}},
    ]
    await wire.client.offer("a", "lab", groups=["x&y", "z"], user_id=7, namespace="n")
    assert wire.asked[0].uri.endswith("/profiles?group=x%26y&group=z&server=lab&namespace=n&userId=7")

    still = await wire.client.stop("a", "", grace=0, wait=30)
    assert wire.asked[1].uri.endswith("/server?gracePeriodSeconds=0&waitSeconds=30")
    assert still.state == "Stopping"

    await wire.client.delete_claims("a", None)
    assert (wire.asked[2].method, wire.asked[2].path) == ("DELETE", "/v1/hubs/main/users/a/claims")


async def test_stream_that_is_cut_ends_or_says_so_and_what_came_before_was_told(wire):
    seen = asyncio.Event()
    first = b'event: step\ndata: {"progress": 30, "message": "pulling", "done": false}\n\n'
    wire.answers = [
        {"type": "text/event-stream", "pieces": [first], "body": b""},
        {"type": "text/event-stream", "pieces": [first[:20], first[20:]], "cut": seen},
    ]
    assert [s.message async for s in wire.client.progress("a", "", "s")] == ["pulling"]
    assert wire.asked[0].uri.endswith("/server/progress?startId=s")
    steps = wire.client.progress("a", "", "s")
    assert (await anext(steps)).message == "pulling"
    seen.set()
    with pytest.raises(LauncherUnavailableError):
        await anext(steps)


async def test_stream_that_falls_silent_counts_as_cut(wire, monkeypatch):
    monkeypatch.setattr("slipway_spawner.client.SILENCE", 0.1)
    never = asyncio.Event()
    wire.answers = [{"type": "text/event-stream", "pieces": [b": here\n"], "cut": never}]
    with pytest.raises(LauncherUnavailableError, match="fell silent") as silent:
        _ = [s async for s in wire.client.progress("a", "", "s")]
    assert passing(silent.value)
    never.set()


async def test_stream_that_is_refused(wire):
    wire.answers = [problem(404, "NotFound")]
    with pytest.raises(LauncherError, match="One sentence") as refused:
        _ = [s async for s in wire.client.progress("a", "", "s")]
    assert refused.value.status == 404


async def test_token_is_read_for_every_request(wire, tmp_path):
    token = tmp_path / "token"
    client = LauncherClient(f"http://127.0.0.1:{wire.port}", hub="main", token_file=str(token))
    for text in ("one\n", "two\n"):
        token.write_text(text)
        wire.answers = [{"body": SERVER}]
        await client.get("a", "")
    assert [r.headers["Authorization"] for r in wire.asked] == ["Bearer one", "Bearer two"]

    token.unlink()
    with pytest.raises(LauncherUnavailableError, match="token"):
        await client.get("a", "")


async def test_launcher_is_believed_only_with_a_certificate_of_its_ca(wire, tmp_path):
    certipy = Certipy(store_dir=str(tmp_path))
    for ca in ("ours", "others"):
        certipy.create_ca(ca)
    pair = certipy.create_signed_pair("launcher", "ours", alt_names=["IP:127.0.0.1"])["files"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair["cert"], pair["key"])
    server = httpserver.HTTPServer(wire, ssl_options=context)
    (sock,) = netutil.bind_sockets(0, "127.0.0.1")
    server.add_socket(sock)
    url = f"https://127.0.0.1:{sock.getsockname()[1]}"
    wire.answers = [{"body": SERVER}]

    trusting = LauncherClient(url, hub="main", ca=str(tmp_path / "ours" / "ours.crt"))
    assert (await trusting.get("a", "")).pod == "p"
    doubting = LauncherClient(url, hub="main", ca=str(tmp_path / "others" / "others.crt"))
    with pytest.raises(LauncherUnavailableError):
        await doubting.get("a", "")
    assert len(wire.asked) == 1
    server.stop()


@pytest.mark.parametrize(
    "url", ["", "launcher", "unix:launcher.sock", "ftp://launcher", "https://", "http://launcher:80"]
)
def test_url_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="launcher_url"):
        LauncherClient(url, hub="main")


async def test_ten_thousand_polls_ask_once(wire):
    many = [{**SERVER, "user": f"user-{i}"} for i in range(10_000)]
    wire.answers = [{"body": {"servers": many}}]
    overview = Overview(wire.client)
    found = await asyncio.gather(*(overview.find(f"user-{i}", "") for i in range(10_000)))
    assert all(s.user == f"user-{i}" for i, s in enumerate(found))
    assert len(wire.asked) == 1


async def test_server_that_is_gone_from_the_list_is_asked_for_by_name(wire):
    ended = {**SERVER, "user": "b", "state": "Stopped", "exitCode": 3}
    wire.answers = [{"body": {"servers": [ended]}}, {"body": SERVER}, problem(404, "NotFound"), {"body": ended}]
    overview = Overview(wire.client)
    # It was started after the list was made.
    assert (await overview.find("a", "")).state == "Running"
    assert await overview.find("a", "lab") is None
    assert (await overview.find("b", "")).exit_code == 3


async def test_server_whose_pod_is_another_than_in_the_list_is_asked_for_by_name(wire):
    wire.answers = [{"body": {"servers": [SERVER]}}, {"body": {**SERVER, "uid": "new"}}]
    overview = Overview(wire.client)
    assert (await overview.find("a", "", "u")).uid == "u"
    # It was stopped and started after the list was made.
    assert (await overview.find("a", "", "new")).uid == "new"


async def test_poll_that_is_cancelled_takes_nobody_else_along(wire):
    wire.answers = [{"body": {"servers": [SERVER]}}]
    overview = Overview(wire.client)
    first, second = (asyncio.ensure_future(overview.find("a", "")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).pod == "p"


async def test_list_that_fails_fails_for_all_who_wait_and_is_asked_for_again(wire):
    wire.answers = [problem(503, "NotReady"), {"body": {"servers": [SERVER]}}]
    overview = Overview(wire.client)
    got = await asyncio.gather(overview.find("a", ""), overview.find("a", ""), return_exceptions=True)
    assert [type(e) for e in got] == [LauncherUnavailableError] * 2
    assert (await overview.find("a", "")).pod == "p"
