#!/usr/bin/env python3
"""A stand-in for the model behind a real agent CLI, for tests without a network.

Speaks enough of four public wire formats for a real interactive session:
  POST /v1/messages                                   Anthropic Messages, streamed or not
  POST /v1/chat/completions                           OpenAI Chat Completions, streamed or not
  POST /v1/responses                                  OpenAI Responses, streamed
  POST /v1beta/models/M:[stream]generateContent       Gemini, streamed or not
Every reply is  `ack <n> turns=<k>: <first 60 characters of the last user text>`, where k counts the texts that the
user typed in the context that the agent sent: 1 in a fresh conversation, more in a resumed one.
A user text that contains `SLOW <s>` is answered after <s> seconds, and one that contains `HOLD <name>` after a request
GET /release/<name>  (ten minutes at most), so that a turn can be kept in progress.
In the Anthropic format it makes tool calls too, if the agent offers the tool:
  `STEPS <n>`     n steps, each a call of its tool `Read`, a second apart, before the answer
  `SUBAGENT <n>`  a call of its tool `Agent`, whose prompt is `STEPS <n>` and which runs in the background, then the
                  answer at once: a turn that is over while a subagent is at work
These work in every format but Gemini's:
  `SAY <text>`                the answer is only that text, up to the end of the message
  `CALL <tool> <arguments>`   a call of that tool with these arguments, a JSON object up to the end of the message, if
                              the agent offers the tool; then the usual answer
  `PASS <n> <from> <to>`      a call of peer's tool `send` that hands `PASS <n-1> <to> <from>` to <to>, unless n is 0

And these but Gemini's:
  `LIMIT <s>`     the service refuses, because a usage limit is reached that is over in <s> seconds: 429, in its own words
  `SIGNED-OUT`    the service refuses, because the account or the key is not known to it: 401, in its own words

Usage: mock-llm.py [PORT]      binds 127.0.0.1 only; 0 picks a port; prints `listening PORT`.
"""
import itertools
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

count = itertools.count(1)
released = set()
release = threading.Condition()


def user_texts(body):
    """The texts that the user typed, oldest first, without tool results and reminders in tags."""
    messages = body.get("messages") or body.get("input") or body.get("contents") or []
    if isinstance(messages, str):
        return [messages]
    texts = []
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message.get("content") or message.get("parts")
        parts = [content] if isinstance(content, str) else [
            p.get("text", "") for p in content or [] if isinstance(p, dict)]
        for text in parts:
            text = re.sub(r"<([a-z_-]+)>.*?</\1>", "", text or "", flags=re.S).strip()
            if text:
                texts.append(text)
    return texts


def results_since(body, word):
    """The number of tool results after the last user text that contains `word`."""
    results = 0
    for message in body.get("messages") or []:
        content = message.get("content")
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
            if part.get("type") == "text" and message.get("role") == "user" and word in part.get("text", ""):
                results = 0
            results += part.get("type") == "tool_result"
    return results


def is_answered(body):
    """Whether a tool's result came after the last user text. A refused call and a text may be in the same message."""
    messages = body.get("messages") or body.get("input") or []
    for message in reversed(messages if isinstance(messages, list) else []):
        if message.get("role") == "tool" or message.get("type") == "function_call_output":
            return True
        content = message.get("content")
        for part in reversed(content if isinstance(content, list) else [{"text": content}]):
            if isinstance(part, dict) and part.get("type") == "tool_result":
                return True
            if message.get("role") == "user" and isinstance(part, dict) and user_texts(
                    {"messages": [{"role": "user", "content": part.get("text") or ""}]}):
                return False
    return False


def tool_call(body, text):
    """The `(name, input)` of the next tool call, if the text requests a tool that the agent offers."""
    offered = {tool.get("name") or tool.get("function", {}).get("name") for tool in body.get("tools") or []}
    # Codex tells of the tools of a server as functions of a namespace.
    offered |= {f"{space['name']}__{tool['name']}" for space in body.get("tools") or []
                if space.get("type") == "namespace" for tool in space.get("tools") or []}

    def is_offered(tool):
        # Claude Code tells of them by name alone, and takes a call of one all the same.
        by_name = tool.startswith("mcp__") or tool == "ExitPlanMode"
        return tool in offered or (by_name and "ToolSearch" in offered)

    asked = re.search(r"CALL (\w+) (\{.*\})", text, re.S)
    if asked and is_offered(asked.group(1)) and not is_answered(body):
        return asked.group(1), json.loads(asked.group(2))
    passed = re.search(r"PASS ([1-9]\d*) (\w+) (\w+)", text)
    if passed and not is_answered(body):
        left, own, other = int(passed.group(1)) - 1, passed.group(2), passed.group(3)
        tool = "peer_send" if is_offered("peer_send") else "mcp__peer__send"
        if is_offered(tool):
            return tool, {"name": other, "text": f"PASS {left} {other} {own}"}
    steps, subagent = re.search(r"STEPS (\d+)", text), re.search(r"SUBAGENT (\d+)", text)
    if steps and "Read" in offered and results_since(body, steps.group()) < int(steps.group(1)):
        time.sleep(1)
        return "Read", {"file_path": "/etc/hostname"}
    if subagent and "Agent" in offered and results_since(body, subagent.group()) == 0:
        return "Agent", {"description": "Work in steps", "prompt": f"STEPS {subagent.group(1)}",
                         "subagent_type": "general-purpose", "run_in_background": True}
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send_json(self, body, status=200, headers=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, data in events:
            if name:
                self.wfile.write(f"event: {name}\n".encode())
            body = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"data: {body}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        if self.path.startswith("/release/"):
            with release:
                released.add(self.path.removeprefix("/release/"))
                release.notify_all()
        self.send_json({"data": [{"id": "mock", "object": "model", "type": "model"}], "object": "list"})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self.send_json({"error": {"type": "invalid_request_error", "message": "not JSON"}}, 400)
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            return self.send_json({"input_tokens": 10})
        texts = user_texts(body)
        text = texts[-1] if texts else ""
        slow = re.search(r"SLOW (\d+)", text)
        if slow:
            time.sleep(min(int(slow.group(1)), 600))
        held = re.search(r"HOLD ([\w-]+)", text)
        if held:
            with release:
                release.wait_for(lambda: held.group(1) in released, 600)
        limit = re.search(r"LIMIT (\d+)", text)
        if limit and not path.endswith("enerateContent"):
            return self.refuse(path, int(limit.group(1)))
        if "SIGNED-OUT" in text and not path.endswith("enerateContent"):
            return self.turn_away(path)
        n = next(count)
        reply = f"ack {n} turns={len(texts)}: {text[:60]}"
        said = re.search(r"SAY (.*)", text, re.S)
        if said:
            reply = said.group(1)
        call = tool_call(body, text)
        if path.endswith("/messages"):
            return self.anthropic(body, n, reply, call)
        if path.endswith("/chat/completions"):
            return self.openai(body, n, reply, call)
        if path.endswith("/responses"):
            return self.openai_responses(body, n, reply, call)
        if path.endswith("enerateContent"):
            return self.gemini(path, reply)
        self.send_json({})

    def refuse(self, path, seconds):
        """As a subscription's service does whose limit of five hours is used up."""
        over = int(time.time()) + seconds
        retry = ("retry-after", str(seconds))
        if path.endswith("/messages"):
            unified = {"status": "rejected", "reset": over, "representative-claim": "five_hour",
                       "5h-status": "rejected", "5h-reset": over, "5h-utilization": "1.0",
                       "7d-status": "allowed", "7d-reset": over + 500000, "7d-utilization": "0.5",
                       "fallback-percentage": "0.5", "overage-status": "rejected",
                       "overage-disabled-reason": "org_level_disabled"}
            headers = [(f"anthropic-ratelimit-unified-{name}", str(value)) for name, value in unified.items()]
            error = {"type": "rate_limit_error",
                     "message": "This request would exceed your account's rate limit. Please try again later."}
            return self.send_json({"type": "error", "error": error}, 429, [*headers, retry, ("x-should-retry", "false")])
        if path.endswith("/responses"):
            error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus",
                     "resets_at": over, "resets_in_seconds": seconds}
            return self.send_json({"error": error}, 429, [("x-codex-primary-used-percent", "100.0"),
                                                          ("x-codex-primary-window-minutes", "300"),
                                                          ("x-codex-primary-reset-at", str(over))])
        error = {"type": "insufficient_quota", "code": "insufficient_quota", "param": None,
                 "message": "You exceeded your current quota, please check your plan and billing details."}
        return self.send_json({"error": error}, 429, [retry])

    def turn_away(self, path):
        """As a service does that does not know the account or the key."""
        if path.endswith("/messages"):
            by_key = self.headers.get("x-api-key")
            message = "invalid x-api-key" if by_key else \
                "OAuth token has expired. Please obtain a new token or refresh your existing token."
            return self.send_json({"type": "error", "error": {"type": "authentication_error", "message": message},
                                   "request_id": "req_011CV000000000000000000"}, 401, [("x-should-retry", "false")])
        error = {"message": "Incorrect API key provided: sk-test-0000. You can find your API key at "
                            "https://platform.openai.com/account/api-keys.",
                 "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        self.send_json({"error": error}, 401)

    def anthropic(self, body, n, reply, call):
        usage = {"input_tokens": 10, "output_tokens": 10}
        message = {"id": f"msg_{n:06d}", "type": "message", "role": "assistant", "model": body.get("model", "mock"),
                   "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        if call:
            name, arguments = call
            block = {"type": "tool_use", "id": f"toolu_{n:06d}", "name": name}
            full, empty, stop = {**block, "input": arguments}, {**block, "input": {}}, "tool_use"
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        else:
            full, empty, stop = {"type": "text", "text": reply}, {"type": "text", "text": ""}, "end_turn"
            delta = {"type": "text_delta", "text": reply}
        if not body.get("stream"):
            message.update(content=[full], stop_reason=stop)
            return self.send_json(message)
        self.send_events([
            ("message_start", {"type": "message_start", "message": message}),
            ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": empty}),
            ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
            ("content_block_stop", {"type": "content_block_stop", "index": 0}),
            ("message_delta", {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
                               "usage": usage}),
            ("message_stop", {"type": "message_stop"}),
        ])

    def openai(self, body, n, reply, call):
        head = {"id": f"chatcmpl-{n}", "created": int(time.time()), "model": body.get("model", "mock")}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        if not body.get("stream"):
            return self.send_json({**head, "object": "chat.completion", "usage": usage, "choices": [
                {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}]})
        chunk = {**head, "object": "chat.completion.chunk"}
        delta, stop = {"role": "assistant", "content": reply}, "stop"
        if call:
            function = {"name": call[0], "arguments": json.dumps(call[1])}
            delta = {"role": "assistant", "tool_calls": [
                {"index": 0, "id": f"call_{n}", "type": "function", "function": function}]}
            stop = "tool_calls"
        self.send_events([
            (None, {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}),
            (None, {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}], "usage": usage}),
            (None, "[DONE]"),
        ])

    def openai_responses(self, body, n, reply, call):
        part = {"type": "output_text", "text": reply, "annotations": []}
        item = {"id": f"item_{n}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
                 "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20}
        head = {"id": f"resp_{n}", "object": "response", "created_at": int(time.time()),
                "model": body.get("model", "mock")}
        at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        if call:
            arguments = json.dumps(call[1])
            space, _, name = call[0].rpartition("__")
            item = {"id": f"item_{n}", "type": "function_call", "status": "completed", "call_id": f"call_{n}",
                    "name": name, "arguments": arguments, **({"namespace": space} if space else {})}
            told = [
                {"type": "response.output_item.added", "output_index": 0,
                 "item": {**item, "status": "in_progress", "arguments": ""}},
                {"type": "response.function_call_arguments.done", "item_id": item["id"], "output_index": 0,
                 "arguments": arguments},
            ]
        else:
            told = [
                {"type": "response.output_item.added", "output_index": 0,
                 "item": {**item, "status": "in_progress", "content": []}},
                {"type": "response.output_text.delta", **at, "delta": reply},
                {"type": "response.output_text.done", **at, "text": reply},
            ]
        events = [
            {"type": "response.created", "response": {**head, "status": "in_progress", "output": []}},
            *told,
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed",
             "response": {**head, "status": "completed", "output": [item], "usage": usage}},
        ]
        self.send_events([(e["type"], {**e, "sequence_number": i}) for i, e in enumerate(events)])

    def gemini(self, path, reply):
        body = {"candidates": [{"index": 0, "finishReason": "STOP",
                                "content": {"role": "model", "parts": [{"text": reply}]}}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20},
                "modelVersion": "mock"}
        if path.endswith(":streamGenerateContent"):
            return self.send_events([(None, body)])
        self.send_json(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever()
