import asyncio

from slipway_spawner.answers import Step
from slipway_spawner.events import EventReader
from slipway_spawner.progress import Progress


def step(progress, message, event=None, done=False):
    return Step(progress, message, event, done, None)


async def seen(progress):
    return [told async for told in progress.watch()]


async def test_every_viewer_sees_every_step_whenever_he_came():
    progress = Progress()
    early = asyncio.ensure_future(seen(progress))
    progress.add(step(0, "asked for"))
    await asyncio.sleep(0)
    progress.add(step(30, "pulling", event={"reason": "Pulling"}))
    late = asyncio.ensure_future(seen(progress))
    progress.add(step(-1, "still pulling"))
    progress.end()

    want = [
        {"progress": 0, "message": "asked for"},
        {"progress": 30, "message": "pulling", "raw_event": {"reason": "Pulling"}},
        {"message": "still pulling"},
    ]
    assert await early == want
    assert await late == want


async def test_steps_that_the_launcher_repeats_after_a_break_are_told_once():
    progress = Progress()
    for _ in range(2):
        progress.add(step(30, "pulling"))
        progress.add(step(50, "pulled"))
    progress.end()

    assert [told["progress"] for told in await seen(progress)] == [30, 50]


async def test_last_step_is_the_hubs_own_to_tell():
    progress = Progress()
    progress.add(step(100, "ready", done=True))
    progress.end()

    assert await seen(progress) == []


def test_events_are_read_however_they_are_cut():
    stream = (
        b': hello\n\nevent: step\ndata: {"a":\ndata: 1}\n\nid: 7\ndata:x\r\n\r\n: heartbeat\n\n'
        b"data: \xc3\xbc\n\ndata: cut"
    )
    for size in range(1, len(stream) + 1):
        reader = EventReader()
        got = [e for i in range(0, len(stream), size) for e in reader.feed(stream[i : i + size])]
        assert got == ['{"a":\n1}', "x", "ü"]
