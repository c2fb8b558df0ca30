"""Gemini's generateContent, spoken by a server of Chat Completions.

A translation, not a fake: what is said comes from the model. As the vendor does, it refuses a call of the turn at hand
that comes back without the signature that it was given with.
"""

import base64
import json
import os
from dataclasses import dataclass, field


class Refused(Exception):
    """The request is one that the vendor refuses with a 400."""


def error(status: int, message: str) -> dict:
    kinds = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}
    return {"error": {"code": status, "message": message, "status": kinds.get(status, "INTERNAL")}}


def models(name: str) -> dict:
    methods = ["generateContent", "streamGenerateContent"]
    limits = {"inputTokenLimit": 8192, "outputTokenLimit": 1024}
    return {"models": [{"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods, **limits}]}


def to_chat(request: dict) -> dict:
    """The request as one for Chat Completions."""
    messages = []
    system = texts((request.get("systemInstruction") or {}).get("parts", []))
    if system:
        messages.append({"role": "system", "content": system})
    contents = request.get("contents") or []
    check_signatures(contents)
    for content in contents:
        messages.extend(translated(content))
    functions = [f for tool in request.get("tools") or [] for f in tool.get("functionDeclarations") or []]
    limit = (request.get("generationConfig") or {}).get("maxOutputTokens")
    chat = {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    if limit:
        chat["max_tokens"] = limit
    if functions:
        chat["tools"] = [{"type": "function", "function": declared(function)} for function in functions]
    return chat


def declared(function: dict) -> dict:
    schema = function.get("parametersJsonSchema") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description", ""), "parameters": schema}


def texts(parts: list) -> str:
    return "".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))


def check_signatures(contents: list) -> None:
    """The first call of each step since the user last spoke needs its signature."""
    spoken = [at for at, c in enumerate(contents) if c.get("role") != "model" and texts(c.get("parts", []))]
    for content in contents[spoken[-1] if spoken else 0 :]:
        calls = [part for part in content.get("parts", []) if "functionCall" in part]
        if calls and not is_signature(calls[0].get("thoughtSignature")):
            name = calls[0]["functionCall"].get("name")
            raise Refused(f"the call of {name} lacks its thought_signature")


def is_signature(text) -> bool:
    try:
        return base64.b64decode(text or "", validate=True).startswith(b"signed:")
    except ValueError:
        return False


def translated(content: dict) -> list:
    parts = content.get("parts", [])
    said = texts(parts)
    if content.get("role") == "model":
        calls = [chat_call(part["functionCall"]) for part in parts if "functionCall" in part]
        message = {"role": "assistant", "content": said or None}
        return [{**message, "tool_calls": calls} if calls else message]
    results = [chat_result(part["functionResponse"]) for part in parts if "functionResponse" in part]
    return results + ([{"role": "user", "content": said}] if said else [])


def chat_call(call: dict) -> dict:
    arguments = json.dumps(call.get("args") or {})
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id", ""), "type": "function", "function": function}


def chat_result(response: dict) -> dict:
    if not response.get("id"):
        raise Refused(f"the result of {response.get('name')} does not say of which call")
    return {"role": "tool", "tool_call_id": response["id"], "content": json.dumps(response.get("response"))}


@dataclass
class Answer:
    """A completion's chunks on their way to Gemini's."""

    model: str
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    calls: dict = field(default_factory=dict)
    usage: dict = field(default_factory=dict)
    finish: str = "STOP"

    def take(self, chunk: dict) -> list:
        """The vendor's chunks that come of one of the completion's."""
        counted = chunk.get("usage")
        if counted:
            names = {"promptTokenCount": "prompt_tokens", "candidatesTokenCount": "completion_tokens"}
            self.usage = {name: counted[of] for name, of in names.items()}
            self.usage["totalTokenCount"] = counted["total_tokens"]
        said = []
        for choice in chunk.get("choices", []):
            delta = choice.get("delta", {})
            for piece in delta.get("tool_calls") or []:
                self.add(piece)
            if choice.get("finish_reason") == "length":
                self.finish = "MAX_TOKENS"
            if delta.get("content"):
                said.append(self.chunk([{"text": delta["content"]}]))
        return said

    def add(self, piece: dict) -> None:
        call = self.calls.setdefault(piece.get("index", 0), {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or piece.get("id") or ""
        for part in ("name", "arguments"):
            call[part] += piece.get("function", {}).get(part) or ""

    def end(self) -> dict:
        """The last chunk: calls come whole, and the first of a step is signed."""
        parts = [{"functionCall": whole(call)} for _, call in sorted(self.calls.items())]
        if parts:
            parts[0]["thoughtSignature"] = base64.b64encode(b"signed:" + os.urandom(24)).decode()
        return self.chunk(parts or [{"text": ""}], finishReason=self.finish)

    def chunk(self, parts: list, **more) -> dict:
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, **more}
        named = {"modelVersion": self.model, "responseId": self.id}
        return {"candidates": [candidate], "usageMetadata": self.usage, **named}


def whole(call: dict) -> dict:
    return {"id": call["id"], "name": call["name"], "args": json.loads(call["arguments"] or "{}")}
