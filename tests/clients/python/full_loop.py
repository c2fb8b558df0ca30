"""A whole conversation with python-socketio: full_loop.py URL TRANSPORTS approve|deny"""

import asyncio
import json
import sys

import socketio

PATIENCE = 20


async def main(url: str, transports: str, answer: str) -> None:
    client = socketio.AsyncClient(reconnection=False)
    events: asyncio.Queue = asyncio.Queue()
    # Of one payload at most, like the handlers of most programs.
    client.on("*", lambda name, payload=None: events.put_nowait((name, payload)))
    seen = []

    async def until(wanted: str):
        while True:
            name, payload = await asyncio.wait_for(events.get(), PATIENCE)
            seen.append(name)
            if name == wanted:
                return payload
            if name == "error":
                raise AssertionError(f"the server refused: {payload}")

    async def send(name: str, payload) -> None:
        ack = await client.call(name, payload, timeout=PATIENCE)
        assert ack["ok"] is True, f"{name} was refused: {ack}"

    await client.connect(url, transports=transports.split(","))
    ready = await until("system:ready")
    assert ready["protocol"] == 1 and ready["sessionId"], ready

    call = {"name": "execute_command", "args": {"command": "echo made-by-a-tool"}}
    steps = [{"delay_ms": 0, "calls": [call]}, {"delay_ms": 0, "text": "The results:", "quote": True}]
    await send("message", "script: " + json.dumps(steps))
    asked = await until("tool:approval_required")
    assert asked["args"] == call["args"], asked
    approved = answer == "approve"
    await send("tool:approval", {"callId": asked["callId"], "approved": approved, "reason": "not now"})
    said = await until("agent:response")
    assert ("made-by-a-tool" if approved else "not now") in said, said
    assert seen.count("tool:output") == (1 if approved else 0), seen
    await until("turn:completed")
    assert client.transport() == transports.split(",")[-1], client.transport()
    await client.disconnect()


try:
    asyncio.run(main(*sys.argv[1:]))
except (AssertionError, TimeoutError, asyncio.TimeoutError, socketio.exceptions.SocketIOError) as problem:
    sys.exit(f"{type(problem).__name__}: {problem}")
