"""A conversation in the terminal: python3 chat.py [URL [TOKEN]]. Needs `pip install python-socketio aiohttp`."""

import asyncio
import json
import sys

import socketio


def number(event_id: str) -> int:
    return int(event_id.split("-")[1])


async def ask(question: str) -> str:
    return await asyncio.to_thread(input, question)


async def main(url: str = "http://127.0.0.1:3000", token: str | None = None) -> None:
    client = socketio.AsyncClient()
    session = last = None
    # One after the other: the library starts a task for each event.
    events: asyncio.Queue = asyncio.Queue()
    client.on("*", lambda name, payload=None, meta=None: events.put_nowait((name, payload, meta or {})))

    # Both are asked at each connection: the session, and the last event that was seen of it.
    def address() -> str:
        return f"{url}?sessionId={session}" if session else url

    def auth() -> dict:
        return {"protocol": 2, "token": token, "lastEventId": last}

    async def send(name: str, payload) -> bool:
        answer = await client.call(name, payload, timeout=20)
        if not answer["ok"]:
            print(answer["message"], answer.get("hint", ""), file=sys.stderr)
        return answer["ok"]

    async def talk() -> None:
        while not await send("message", await ask("> ")):
            pass

    try:
        await client.connect(address, auth=auth)
        while True:
            name, payload, meta = await events.get()
            if "id" in meta:
                if last and number(meta["id"]) <= number(last):
                    continue  # seen before the connection broke
                last = meta["id"]
            match name:
                case "system:ready":
                    session = payload["sessionId"]
                    if not last:  # else the connection is back, and the log goes on where it was
                        last = payload["lastEventId"] if payload["resumed"] else "0-0"
                        print(f"{payload['model']} is ready, in the session {session}")
                        await talk()
                case "agent:delta":
                    print(payload["text"], end="", flush=True)
                case "tool:approval_required":
                    call = f"{payload['server']} wants to run {payload['name']} {payload['argsText']}"
                    said = await ask(f"\n{call}\n{payload['why']} Let it? [y/N] ")
                    approved = said.strip().lower() == "y"
                    answer = {"callId": payload["callId"], "digest": payload["digest"], "approved": approved, "reason": "The user said no."}
                    await send("tool:approval", answer)
                case "tool:output":
                    print("\n".join(part.get("text", f"({part['type']})") for part in json.loads(payload)))
                case "tool:error":
                    print(f"{payload['name']}: {payload['message']}")
                case "agent:error":
                    print(payload["message"], payload.get("hint", ""), file=sys.stderr)
                case "turn:completed":
                    print()
                    await talk()
                case "error":
                    sys.exit(payload)
    finally:
        await client.disconnect()


try:
    asyncio.run(main(*sys.argv[1:]))
except EOFError:
    pass
