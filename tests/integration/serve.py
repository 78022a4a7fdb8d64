#!/usr/bin/env python3
"""serve.py - weir serve: OpenAI's and Anthropic's own Python clients over the demo model, and clients that mean ill.

With the clients: chat, streams, usage, n, stop, seeds, logprobs, JSON by a schema, and eight at once who get what each gets
alone. By hand: wrong requests, limits, a full server, clients that leave or dawdle, keys, signals. What uses a client
runs in a Python of its own: `serve.py --client PORT`, `--tools PORT`, `--anthropic PORT`.
"""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, PATIENCE_S, ROOT, WEIR, check, remove, scratch_folder, use_package, wait_for

PROMPTS = ["The old man", "Once upon a time", "She opened the door", "In the morning", "The sea was", "He said that", "A house",
           "Nobody knew"]
# So that a text takes long enough to be found running: one thread and the slowest kernels.
SLOW = ["--isa", "ref", "--threads", 1]
WAIT_S = PATIENCE_S


class Server:
    """weir serve on a port of its own, with what it said so far."""

    def __init__(self, *args, template="chatml", model=(DEMO, "--alias", "demo"), port=0, mem="192M", log=None):
        self.log = log or tempfile.TemporaryFile()  # a pipe that nobody reads is full after 600 lines
        self.process = subprocess.Popen([WEIR, "serve", *model, "--port", str(port), "--template", template, "--mem", mem, *map(str, args)],
                                        stderr=self.log)
        wait_for(lambda: re.search(r":\d+/v1\b.*\n", self.said) or self.process.poll() is not None, f"weir serve {args} listens")
        place = re.search(r":(\d+)/v1", self.said)
        check(place is not None, f"weir serve {args} ended before it listened: {self.said}")
        self.port = int(place.group(1))

    @property
    def said(self):
        return os.pread(self.log.fileno(), 1 << 24, 0).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self, number=signal.SIGTERM, status=143):
        self.process.send_signal(number)
        found = self.process.wait(WAIT_S)
        check(found == status, f"a server that is told to stop: wanted status {status}, found {found}: {self.said}")
        return self.said

    def ask(self, method, path, body=None, **headers):
        """Status, headers and JSON (or text) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        is_json = answer.getheader("Content-Type", "").startswith("application/json")
        return answer.status, answer.headers, json.loads(text) if is_json else text.decode()

    def metric(self, name):
        return float(re.search(rf"^weir_{name} (\S+)$", self.ask("GET", "/metrics")[2], re.M).group(1))

    def has(self, **wanted):
        """Whether these metrics come to these values; a text may also have ended before anybody looked."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if all(self.metric(name) == value for name, value in wanted.items()):
                return True
            time.sleep(0.01)
        return False

    def wait_for(self, name, wanted):
        wait_for(lambda: wanted(self.metric(name)), f"weir_{name} is as wanted", self.process)


# ---- with OpenAI's client --------------------------------------------------------------------


def client_part(port):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    asked = [{"role": "user", "content": "The old man"}]

    def chat(**more):
        return client.chat.completions.create(**{"model": "demo", "messages": asked, "temperature": 0, "max_tokens": 12, **more})

    check([model.id for model in client.models.list()] == ["demo"], "the list of models")
    whole = chat()
    text = whole.choices[0].message.content
    check(text and whole.choices[0].finish_reason == "length", f"chat: {whole}")
    check(whole.usage.completion_tokens == 12 and whole.usage.total_tokens == 12 + whole.usage.prompt_tokens, f"usage: {whole.usage}")
    check(chat().usage.prompt_tokens_details.cached_tokens > 0, "the same prompt again is known")

    events = list(chat(stream=True, stream_options={"include_usage": True}))
    streamed = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    check(streamed == text, f"a stream: wanted {text!r}, found {streamed!r}")
    check(events[0].choices[0].delta.role == "assistant" and len(events) > 4, "a stream begins with the role and has many events")
    check(events[-1].usage.completion_tokens == 12 and not events[-1].choices, "a stream ends with usage")
    check([event.choices[0].finish_reason for event in events if event.choices][-1] == "length", "a stream says why it ended")

    answers = chat(n=3, temperature=1.0, seed=7).choices
    check(len({answer.message.content for answer in answers}) > 1, "three answers of one seed differ")
    again = chat(n=3, temperature=1.0, seed=7).choices
    check([one.message.content for one in answers] == [one.message.content for one in again], "the same seed, the same answers")
    cut = text[len(text) // 2:len(text) // 2 + 3]
    stopped = chat(stop=[cut]).choices[0]
    check(stopped.finish_reason == "stop" and stopped.message.content == text[:text.index(cut)], f"stop {cut!r}: {stopped}")

    told = chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
    check(len(told) == 12 and all(len(one.top_logprobs) == 3 for one in told), "logprobs of each token")
    check(all(one.top_logprobs[0].logprob == one.logprob <= 0 for one in told), "greedy takes the best logprob")
    check(b"".join(bytes(one.bytes) for one in told).decode() .lstrip().startswith(text.lstrip()), "logprobs spell the text")

    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 99,
              "minimum": 0}}, "required": ["name", "age"], "additionalProperties": False}
    made = chat(max_tokens=60, response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}})
    found = json.loads(made.choices[0].message.content)
    check(set(found) == {"name", "age"} and 0 <= found["age"] <= 99, f"JSON by a schema: {found}")
    check(isinstance(json.loads(chat(max_tokens=40, response_format={"type": "json_object"}).choices[0].message.content), dict), "JSON")

    banned = told[0].top_logprobs[0]
    ids = client.post("/../tokenize", body={"content": bytes(banned.bytes).decode()}, cast_to=object)["tokens"]
    other = chat(logit_bias={str(ids[0]): -100}, logprobs=True).choices[0].logprobs.content[0]
    check(other.token != banned.token, f"a banned token comes all the same: {other.token!r}")

    one = client.completions.create(model="demo", prompt="The old man", max_tokens=6, temperature=0, logprobs=2)
    check("".join(one.choices[0].logprobs.tokens) == one.choices[0].text, f"a completion's logprobs: {one}")
    both = client.completions.create(model="demo", prompt=["The old man", "The sea was"], max_tokens=6, temperature=0)
    check(len(both.choices) == 2 and both.choices[0].text == one.choices[0].text, "two prompts, two texts")

    for wrong, kind in (({"temperature": 3}, "temperature"), ({"model": "gpt-4"}, "model"), ({"extra_body": {"best": 1}}, "best"),
                        ({"top_logprobs": 2}, "top_logprobs"), ({"messages": []}, "messages"),
                        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages")):
        try:
            chat(**wrong)
            check(False, f"{wrong} was accepted")
        except (openai.BadRequestError, openai.NotFoundError) as error:
            check(error.param == kind, f"{wrong}: wanted param {kind}, found {error.body}")

    def write(prompt):
        return client.completions.create(model="demo", prompt=prompt, max_tokens=16, temperature=0).choices[0].text

    alone = [write(prompt) for prompt in PROMPTS]
    with concurrent.futures.ThreadPoolExecutor(len(PROMPTS)) as pool:
        together = list(pool.map(write, PROMPTS))
    check(together == alone, f"eight at once: wanted {alone}, found {together}")
    print(json.dumps(alone))


def tools_part(port):
    """The demo model knows no tools: a grammar writes its calls, so what is looked at is their way to the client and back."""
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    tools = [{"type": "function", "function": {"name": "add", "description": "adds", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}}}]
    one = '"<tool_call>\\n{\\"name\\": \\"add\\", \\"arguments\\": {\\"a\\": " [0-9] ", \\"b\\": \\"\\\\n\\"}}\\n</tool_call>"'
    messages = [{"role": "user", "content": "Add"}]

    def chat(calls, **more):
        return client.chat.completions.create(**{"model": "demo", "messages": messages, "temperature": 0, "max_tokens": 160, "tools": tools,
                                                 "extra_body": {"grammar": f"root ::= {calls}"}, **more})

    choice = chat(f'"Hm. " {one} "\\n" {one}').choices[0]
    calls = choice.message.tool_calls
    check(choice.finish_reason == "tool_calls" and len(calls) == 2 and (choice.message.content or "").strip() == "Hm.", f"calls: {choice}")
    check(all(call.function.name == "add" and json.loads(call.function.arguments)["b"] == "\n" for call in calls), f"calls: {calls}")
    check(calls[0].id != calls[1].id, "calls have ids of their own")
    deltas = [event.choices[0] for event in chat(one, stream=True) if event.choices]
    told = [call for delta in deltas for call in delta.delta.tool_calls or []]
    check(deltas[-1].finish_reason == "tool_calls" and told[0].index == 0 and told[0].function.name == "add", f"a stream of calls: {told}")
    check("a" in json.loads("".join(call.function.arguments or "" for call in told)), f"a stream of calls: {told}")
    plain = chat(one, tool_choice="none").choices[0]
    check(plain.finish_reason == "stop" and not plain.message.tool_calls and "<tool_call>" in plain.message.content, f"none: {plain}")
    check(len(chat(f'{one} "\\n" {one}', parallel_tool_calls=False).choices[0].message.tool_calls) == 1, "one call at most")
    messages += [choice.message.model_dump(), {"role": "tool", "tool_call_id": calls[0].id, "content": "3"}]
    after = chat('"3"').choices[0]
    check(after.message.content == "3" and after.finish_reason == "stop", f"behind a call's result: {after}")
    for wrong in ({"tool_choice": "required"}, {"tool_choice": {"type": "function", "function": {"name": "sub"}}}, {"tool_choice": "some"},
                  {"tools": [], "tool_choice": "required"}, {"tools": [{"type": "function"}]}, {"tools": [{"type": "web_search"}]}):
        try:
            chat('"x"', **wrong)
            check(False, f"{wrong} was accepted")
        except openai.BadRequestError as error:
            check(error.param in ("tools", "tool_choice", "type"), f"{wrong}: {error.body}")
    forced_part(client, tools)


def forced_part(client, tools):
    """Calls that must come, and answers by a schema behind reasoning, without a grammar of the client's."""
    colors = {"type": "object", "properties": {"color": {"enum": ["red", "green"]}}, "required": ["color"], "additionalProperties": False}
    tools = tools + [{"type": "function", "function": {"name": "paint", "parameters": colors}}]
    form = {"type": "json_schema", "json_schema": {"name": "color", "schema": colors}}

    def chat(think=False, **more):
        return client.chat.completions.create(**{
            "model": "demo", "messages": [{"role": "user", "content": "Add"}], "temperature": 0, "max_tokens": 120,
            "extra_body": {"chat_template_kwargs": {"enable_thinking": think}}, **more})

    named = {"type": "function", "function": {"name": "paint"}}
    for choice, names in (("required", {"add", "paint"}), (named, {"paint"})):
        for think in (False, True):
            told = chat(think, tools=tools, tool_choice=choice, parallel_tool_calls=False).choices[0]
            calls = told.message.tool_calls or []
            check(told.finish_reason == "tool_calls" and len(calls) == 1 and not told.message.content, f"{choice}: {told}")
            check(calls[0].function.name in names, f"{choice}: {told}")
            arguments = json.loads(calls[0].function.arguments)
            check(calls[0].function.name != "paint" or arguments["color"] in ("red", "green"), f"{choice}: {told}")
            check(not think or getattr(told.message, "reasoning_content", None), f"reasoning before a call that must come: {told}")
    deltas = [event.choices[0] for event in chat(tools=tools, tool_choice=named, stream=True) if event.choices]
    told = [call for delta in deltas for call in delta.delta.tool_calls or []]
    check(deltas[-1].finish_reason == "tool_calls" and {call.function.name for call in told if call.function.name} == {"paint"}, f"a stream: {told}")
    for think in (False, True):
        told = chat(think, response_format=form, max_tokens=80).choices[0]  # which reasoning uses up
        answer = told.message
        check(told.finish_reason == "stop", f"an answer by a schema is whole: {told}")
        check(json.loads(answer.content)["color"] in ("red", "green"), f"an answer by a schema: {answer}")
        check(bool(getattr(answer, "reasoning_content", None)) == think, f"reasoning before an answer by a schema: {answer}")
    either = chat(tools=tools, response_format=form).choices[0].message
    check(either.tool_calls or json.loads(either.content)["color"], f"calls, or an answer by a schema: {either}")


def anthropic_part(port):
    import anthropic
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none", max_retries=0)
    colors = {"type": "object", "properties": {"color": {"enum": ["red", "green"]}}, "required": ["color"], "additionalProperties": False}
    tools = [{"name": "paint", "description": "paints", "input_schema": colors, "cache_control": {"type": "ephemeral"}}]
    asked = {"model": "demo", "messages": [{"role": "user", "content": "The old man"}], "system": "Tell of the sea and of those who live by it. " * 4}

    def ask(**more):
        return client.messages.create(**{**asked, "max_tokens": 12, "extra_body": {"temperature": 0}, **more})

    def stream(**more):
        with client.messages.stream(**{**asked, "max_tokens": 12, "extra_body": {"temperature": 0}, **more}) as events:
            return events.get_final_message()

    whole = ask()
    text = whole.content[0].text
    check(text and whole.stop_reason == "max_tokens" and whole.role == "assistant" and whole.model == "demo", f"a message: {whole}")
    count = client.messages.count_tokens(**asked).input_tokens
    check(whole.usage.output_tokens == 12 and whole.usage.input_tokens + whole.usage.cache_read_input_tokens == count > 0,
          f"{count} tokens are counted: {whole.usage}")
    again = stream()
    check(again.content[0].text == text and again.stop_reason == "max_tokens" and again.usage.output_tokens == 12, f"a stream: {again}")
    check(again.usage.cache_read_input_tokens > 0 and again.usage.input_tokens + again.usage.cache_read_input_tokens == count,
          f"the same prompt again is known: {again.usage}")
    blocks = ask(system=[{"type": "text", "text": asked["system"][:3], "cache_control": {"type": "ephemeral"}},
                         {"type": "text", "text": asked["system"][3:]}],
                 messages=[{"role": "user", "content": [{"type": "text", "text": "The old man"}]}], metadata={"user_id": "me"})
    check(blocks.content[0].text == text, f"the same in blocks: {blocks}")
    cut = text[len(text) // 2:len(text) // 2 + 3]
    for told in (ask(stop_sequences=["zzzz", cut]), stream(stop_sequences=["zzzz", cut])):
        check(told.stop_reason == "stop_sequence" and told.stop_sequence == cut and told.content[0].text == text[:text.index(cut)],
              f"a stop sequence: {told}")

    for think in ("disabled", "adaptive"):
        for told in (ask(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True}, thinking={"type": think}, max_tokens=120),
                     stream(tools=tools, tool_choice={"type": "tool", "name": "paint", "disable_parallel_tool_use": True},
                            thinking={"type": think}, max_tokens=120)):
            kinds = [block.type for block in told.content]
            check(told.stop_reason == "tool_use" and kinds == ["thinking"] * (think == "adaptive") + ["tool_use"], f"a call: {told}")
            check(told.content[-1].name == "paint" and told.content[-1].input["color"] in ("red", "green"), f"a call: {told}")
            check(kinds[0] != "thinking" or told.content[0].thinking, f"a thought: {told}")
    result = {"type": "tool_result", "tool_use_id": told.content[-1].id, "content": [{"type": "text", "text": "done"}]}
    turns = [*asked["messages"], {"role": "assistant", "content": told.content},
             {"role": "user", "content": [{**result, "is_error": True}, {"type": "text", "text": "And?"}]}]
    after = ask(messages=turns, tools=tools, tool_choice={"type": "none"})
    check(after.content and after.content[0].type == "text", f"behind a call's result: {after}")
    counts = [client.messages.count_tokens(model="demo", messages=messages, tools=tools).input_tokens for messages in (turns[:1], turns)]
    check(counts[0] < counts[1], f"results count: {counts}")
    form = ask(output_config={"format": {"type": "json_schema", "schema": colors}}, max_tokens=120, thinking={"type": "adaptive"})
    check(json.loads(form.content[-1].text)["color"] in ("red", "green") and form.content[0].type == "thinking", f"JSON: {form}")

    picture = [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}]
    for wrong, word in (({"extra_body": {"container": "c"}}, "container"), ({"messages": picture}, "pictures"), ({"max_tokens": 0}, "max_tokens"),
                        ({"thinking": {"type": "enabled"}}, "budget"), ({"stop_sequences": [""]}, "stop_sequences"),
                        ({"messages": [*asked["messages"], {"role": "assistant", "content": "He"}]}, "at the end"),
                        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "custom"), ({"messages": []}, "messages"),
                        ({"tools": tools, "tool_choice": {"type": "tool", "name": "sing"}}, "tool_choice"), ({"model": "other"}, "model"),
                        ({"output_config": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, "output_config.format")):
        for way in (ask, lambda **more: client.messages.count_tokens(**{**asked, **more})):
            if way is not ask and not {"messages", "model"} & set(wrong):
                continue
            try:
                way(**wrong)
                check(False, f"{wrong} was accepted")
            except (anthropic.BadRequestError, anthropic.NotFoundError) as error:
                kind = "not_found_error" if word == "model" else "invalid_request_error"
                check(error.body["type"] == "error" and error.body["error"]["type"] == kind, f"{wrong}: {error.body}")
                check(word in error.body["error"]["message"], f"{wrong}: {error.body}")


TEMPLATE = """{% if tools %}{{ tools | tojson }} answer with <tool_call> {"name": ..., "arguments": ...} </tool_call>{% endif %}
{%- for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for call in m.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endfor %}<|assistant|>{% if enable_thinking %}<think>
{% endif %}"""


CLIENTS = ["anthropic==2.14.0", "openai==3.57.0"]  # at once, as most of what they ask for is the same


def run_client(part, server, packages=CLIENTS, script=__file__):
    use_package(*packages)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # it takes seconds to compile
    kept["PYTHONPYCACHEPREFIX"] = os.path.join(ROOT, "build", "judges", "pycache")
    done = subprocess.run([sys.executable, os.path.abspath(script), part, str(server.port)], capture_output=True, text=True, env=kept)
    check(done.returncode == 0, f"the client {part} of {packages}: {done.stdout} {done.stderr}")
    return done


def tools_are_called(folder):
    path = os.path.join(folder, "tools.jinja")
    with open(path, "w", encoding="ascii") as file:
        file.write(TEMPLATE)
    with Server(template=path) as server:
        run_client("--tools", server)
        run_client("--anthropic", server)
        events_have_names(server)


def events_have_names(server):
    """What Anthropic's client hides: the names of events, and that each says its own."""
    told = server.ask("POST", "/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "stream": True})[2]
    events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", told)
    names = [name for name, _ in events]
    check(names[:3] == ["message_start", "ping", "content_block_start"] and set(names[3:-3]) == {"content_block_delta"} and
          names[-3:] == ["content_block_stop", "message_delta", "message_stop"], f"events: {told}")
    check(names == [json.loads(data)["type"] for _, data in events], f"events: {told}")


def openais_client(server):
    done = run_client("--client", server)
    alone = json.loads(done.stdout.splitlines()[-1])
    ran = subprocess.run([WEIR, "run", DEMO, "-p", PROMPTS[0], "-n", "16", "--temp", "0", "--json"], capture_output=True, text=True)
    check(json.loads(ran.stdout)["text"] == alone[0], f"weir run writes {ran.stdout}, the server {alone[0]!r}")


# ---- by hand ---------------------------------------------------------------------------------


def wrong_requests_are_refused(server):
    chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    for path, body, status, code in (
            ("/v1/chat/completions", b"{", 400, "invalid_json"), ("/v1/chat/completions", b"\xff\xfe", 400, "invalid_json"),
            ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "\xc3("}]}', 400, "invalid_json"),
            ("/v1/chat/completions", b'{"a": 1, "a": 2}', 400, "invalid_json"), ("/v1/chat/completions", b"[]", 400, "invalid_json"),
            ("/v1/chat/completions", b"[" * 100000, 400, "invalid_json"), ("/v1/chat/completions", b"", 400, "invalid_json"),
            ("/v1/chat/completions", b'{"messages":[' + b"[]," * 42000 + b"0]}", 413, "request_too_large"),
            ("/v1/chat/completions", {**chat, "frobnicate": 1}, 400, "unknown_parameter"),
            ("/v1/chat/completions", {**chat, "n": 0}, 400, "invalid_value"),
            ("/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 3}}},
             400, "invalid_value"),
            ("/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": "word " * 1100}]}, 400,
             "context_length_exceeded"),
            ("/v1/completions", {"prompt": [1, -1]}, 400, "invalid_value"), ("/v1/completions", {"prompt": []}, 400, "invalid_value"),
            ("/v1/completions", {"prompt": "", "grammar": "root ::= ("}, 400, "invalid_value"),
            ("/detokenize", {"tokens": [1e9]}, 400, "invalid_value"), ("/nowhere", {}, 404, "not_found"),
            ("/health", {}, 405, "method_not_allowed"), ("/v1/completions", b" " * 400000, 413, "request_too_large")):
        found = server.ask("POST", path, body)
        check(found[0] == status and found[2]["error"]["code"] == code and set(found[2]["error"]) == {"message", "type", "param", "code"},
              f"{path} {body if len(body) < 200 else len(body)}: wanted {status} {code}, found {found[0]} {found[2]}")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # as a page of another origin sends it, and as curl -d does
        status, _, told = server.ask("POST", "/tokenize", {"content": "x"}, Content_Type=kind)
        check(status == 415 and "-H 'Content-Type: application/json'" in told["error"]["message"], f"a body that is not called JSON: {status} {told}")
    check(server.ask("GET", "/v1/models", Host="evil.example")[0] == 403, "a name that is not ours")
    check("Access-Control-Allow-Origin" not in server.ask("GET", "/v1/models", Origin="https://app.example")[1], "no page is let in")
    ids = server.ask("POST", "/tokenize", {"content": "The old man"})[2]["tokens"]
    check(server.ask("POST", "/detokenize", {"tokens": ids})[2]["content"] == "The old man", "ids and back")
    pieces = server.ask("POST", "/tokenize", {"content": "The old man \U0001f980", "with_pieces": True})[2]["tokens"]
    check([piece["id"] for piece in pieces[:len(ids)]] == ids, f"pieces beside ids: {pieces}")
    spelled = b"".join(bytes(piece["piece"]) if isinstance(piece["piece"], list) else piece["piece"].encode() for piece in pieces)
    check(spelled.decode().lstrip() == "The old man \U0001f980" and any(isinstance(one["piece"], list) for one in pieces), f"pieces: {pieces}")
    asked = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "max_tokens": 1}
    told = server.ask("POST", "/apply-template", asked)[2]
    used = server.ask("POST", "/v1/chat/completions", asked)[2]["usage"]
    check("Be brief." in told["prompt"] and told["count"] == len(told["tokens"]) == used["prompt_tokens"], f"a chat's prompt: {told} {used}")
    again = server.ask("POST", "/v1/completions", {"prompt": [piece["id"] for piece in told["tokens"]], "max_tokens": 1})[2]
    check(again["usage"]["prompt_tokens_details"]["cached_tokens"] == told["count"] - 1, f"its ids are those that were computed: {again}")
    check(server.ask("GET", "/props")[2]["n_ctx"] == 1024, "what the server is")


def open_socket(server, head, body=b""):
    peer = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)
    peer.sendall(head.encode() + body)
    return peer


def end_tokens():
    keys = json.loads(subprocess.run([WEIR, "info", DEMO, "--verbose", "--json"], capture_output=True, text=True).stdout)["keys"]
    return [int(value) for key, value in keys.items() if re.fullmatch(r"tokenizer\.ggml\.eo[stm]_token_id", key)]


def start_text(server, stream=False, tokens=1000):
    """No end token ends it."""
    body = json.dumps({"prompt": "The", "max_tokens": tokens, "stream": stream,
                       "logit_bias": {str(token): -100 for token in end_tokens()}}).encode()
    return open_socket(server, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n", body)


def is_left(server, stream):
    """Whether a text ended because its client left; it may have ended by itself before."""
    left = server.metric("requests_left_total")
    with start_text(server, stream):
        is_running = server.has(texts_running=1)
    server.wait_for("texts_running", lambda count: count == 0)
    return is_running and server.has(requests_left_total=left + 1)


def clients_that_leave_make_room(server):
    for stream in (False, True):
        check(any(is_left(server, stream) for _ in range(5)), f"a client that leaves ends its text; stream: {stream}")


def is_refused(server):
    """Whether a server with room for two texts refuses a third; they may have ended before it comes."""
    with start_text(server), start_text(server):
        if not server.has(texts_running=1, texts_waiting=1):
            return False
        status, headers, body = server.ask("POST", "/v1/completions", {"prompt": "The", "max_tokens": 1})
        check(server.ask("GET", "/health")[0] == 200, "a full server is healthy")
    if status == 429:
        check(int(headers["Retry-After"]) > 0 and body["error"]["type"] == "rate_limit_error", f"full: {status} {body}")
    return status == 429


def a_full_server_says_when_to_ask_again():
    with Server("--parallel", 1, "--queue", 1, *SLOW) as server:
        clients_that_leave_make_room(server)
        check(any(is_refused(server) for _ in range(5)), "a full server says when to ask again")
        server.wait_for("texts_running", lambda count: count == 0)
        check(server.ask("POST", "/v1/completions", {"prompt": "The", "max_tokens": 1})[0] == 200, "there is room again")


def what_runs_ends_before_a_stop():
    for tokens in (100, 300, 1000):  # the shorter ones may have ended before we say stop
        with Server("--drain-time", 3600, *SLOW) as server:
            peer = start_text(server, tokens=tokens)
            server.wait_for("written_tokens_total", lambda count: count > 0)
            said = server.stop(signal.SIGINT, 130)
            peer.close()
        if "stopping: 1 requests" in said:
            break
    check("stopping: 1 requests" in said and re.search(rf"completions 200 length .* written {tokens}\b", said),
          f"an answer that runs when the server is told to stop ends: {said}")


def dawdlers_are_let_go():
    """Here whoever takes longer than a second is let go, and that may be we: then we ask again."""
    with Server("--request-time", 1, "--connections", 8) as server:
        slow = open_socket(server, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
        slow.settimeout(0.2)

        def is_let_go():
            try:
                slow.sendall(b"X-Slow: 1\r\n")
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        def answers(ask):
            try:
                return ask()
            except (OSError, http.client.HTTPException):
                return False

        def is_healthy():
            return server.ask("GET", "/health")[0] == 200

        def refuses_long_headers():
            with open_socket(server, "GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 40000 + "\r\n\r\n") as large:
                return re.match(rb"HTTP/1.1 4(13|31)", large.recv(100))

        wait_for(is_let_go, "a client that sends a header at a time is let go")
        crowd = [open_socket(server, "") for _ in range(40)]
        wait_for(lambda: answers(is_healthy), "a crowd that says nothing does not keep others out")
        for peer in crowd:
            peer.close()
        wait_for(lambda: answers(refuses_long_headers), "headers that are too long are refused")
        junk = open_socket(server, "\x00\xff junk\r\n\r\n" * 20)
        junk.recv(100)
        wait_for(lambda: answers(is_healthy), "a server that was sent junk goes on")


def pages_of_others_are_let_in(server):
    """Those that were named, whatever they ask; their browser asks first, and without a key."""
    key = {"x_api_key": "secret-secret-secret"}
    wish = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,x-stainless-os"}
    status, told, text = server.ask("OPTIONS", "/v1/chat/completions", Origin="https://app.example", **wish)
    check(status == 204 and text == "" and told["Access-Control-Allow-Origin"] == "https://app.example", f"a question: {status} {told}")
    check(told["Access-Control-Allow-Headers"] == "authorization,x-stainless-os" and "POST" in told["Access-Control-Allow-Methods"], f"{told}")
    check(server.ask("OPTIONS", "/v1/chat/completions", Origin="https://evil.example", **wish)[0] == 405, "another page asks in vain")
    check(server.ask("OPTIONS", "/nowhere", Origin="https://app.example", **wish)[0] == 404, "no such path")
    for origin, path, more, wanted in (("https://app.example", "/v1/models", key, "https://app.example"),
                                       ("https://app.example", "/v1/models", {}, "https://app.example"),  # so that it sees why not
                                       ("https://evil.example", "/v1/models", key, None)):
        status, told, _ = server.ask("GET", path, Origin=origin, **more)
        check(status == (200 if more else 401) and told["Access-Control-Allow-Origin"] == wanted, f"{origin} {path}: {status} {told}")
        check(told["Vary"] == "Origin", f"caches tell pages apart: {told}")
    status, _, told = server.ask("POST", "/v1/completions", {"model": "gpt-4", "prompt": "The", "max_tokens": 1}, **key)
    check(status == 200 and told["model"] == "demo", f"any model's name means the one that is here: {status} {told}")


def keys_are_asked_for(folder):
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write("# mine\nsecret-secret-secret\n")
    with Server("--api-key-file", path, "--log-json", "--any-model", "--cors-origin", "https://app.example") as server:
        pages_of_others_are_let_in(server)
        body = {"content": "x"}
        check(server.ask("POST", "/tokenize", body)[0] == 401, "no key")
        check(server.ask("POST", "/v1/messages", body, x_api_key="wrong")[2]["error"]["type"] == "authentication_error", "no key of Anthropic's")
        check(server.ask("POST", "/tokenize", body, Authorization="Bearer secret-secret-secreT")[0] == 401, "a wrong key")
        check(server.ask("POST", "/tokenize", body, Authorization="Bearer secret-secret-secret")[0] == 200, "the key")
        check(server.ask("POST", "/tokenize", body, x_api_key="secret-secret-secret")[0] == 200, "the key as Anthropic's clients send it")
        check(server.ask("GET", "/health")[0] == 200, "health needs no key")
        lines = [json.loads(line) for line in server.stop().splitlines() if line.startswith("{")]
        check(len(lines) == 13 and lines[-6]["status"] == 401, f"a log of JSON: {lines}")
        text = next(line for line in lines if line["path"] == "/v1/completions" and line["status"] == 200)
        check(text["end"] in ("stop", "length") and text["tokens"] <= 1 and "tokens_per_s" in text, f"why a text ended: {text}")
    with Server("--quiet", "--api-key-file", path) as server:
        check(server.ask("GET", "/health")[0] == 200 and server.ask("GET", "/v1/models")[0] == 401, "one that is well, one that is not")
        said = server.stop()
        check("/v1/models 401" in said and "/health" not in said, f"only what failed is told: {said}")
    for args, environment, words in ((["--host", "0.0.0.0"], {}, "--api-key-file"), (["--cors-origin", "app.example"], {}, "--cors-origin"),
                                     (["--cors-origin", "https://app.example/"], {}, "no path"), (["--cors-origin", "HTTPS://App.example"], {}, "small letters"),
                                     (["--cors-origin", "https://app.example:443"], {}, ":443"), (["--host", "nowhere"], {"WEIR_API_KEY": "k" * 20}, "address"),
                                     ([], {"WEIR_API_KEY": "short"}, "16 characters")):
        done = subprocess.run([WEIR, "serve", DEMO, "--port", "0", *args], capture_output=True, text=True, timeout=WAIT_S,
                              env={**os.environ, **environment})
        check(done.returncode in (1, 2) and words in done.stderr, f"serve {args}: {done.returncode} {done.stderr}")


def nothing_of_a_prompt_is_logged(server):
    server.ask("POST", "/v1/completions", {"prompt": "xyzzy plugh", "max_tokens": 1})
    server.ask("POST", "/v1/completions", {"prompt": "xyzzy plugh", "xyzzy": 1})
    check("xyzzy" not in server.stop(), "a log has no words of clients")


def main():
    if sys.argv[1:2] == ["--client"]:
        client_part(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--tools"]:
        tools_part(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--anthropic"]:
        anthropic_part(int(sys.argv[2]))
        return
    folder = scratch_folder()
    try:
        keys_are_asked_for(folder)
        tools_are_called(folder)
    finally:
        remove(folder)
    a_full_server_says_when_to_ask_again()
    what_runs_ends_before_a_stop()
    dawdlers_are_let_go()
    with Server("--parallel", 8) as server:
        wrong_requests_are_refused(server)
        try:
            openais_client(server)
        finally:
            nothing_of_a_prompt_is_logged(server)


if __name__ == "__main__":
    main()
