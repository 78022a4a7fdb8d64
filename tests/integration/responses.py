#!/usr/bin/env python3
"""responses.py - weir serve: OpenAI's Responses API by its own client; reasoning that is ended; calls that come in pieces; how far a
prompt is.

The demo model knows neither tools nor reasoning: grammars write its calls, and its template begins a reasoning that it never ends.
"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve
from harness import check, remove, scratch_folder

TOOLS = [{"type": "function", "name": "add", "description": "adds", "strict": False,
          "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a", "b"]}}]
CALL = '"<tool_call>\\n{\\"name\\": \\"add\\", \\"arguments\\": {\\"a\\": " [0-9] ", \\"b\\": \\"\\\\n\\"}}\\n</tool_call>"'
ASKED = "Tell of the sea and of those who live by it. " * 4  # longer than what is worth keeping
THINK = {"chat_template_kwargs": {"enable_thinking": True}}


def event_order(events):
    """Each kind of event once where several follow each other, without the response. in front."""
    names = [event.type.removeprefix("response.") for event in events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def client_part(port):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    def ask(**more):
        return client.responses.create(**{"model": "demo", "input": ASKED, "temperature": 0, "max_output_tokens": 12, **more})

    texts_part(client, ask)
    items_part(client, ask)
    stored_part(openai, client, ask)
    formats_part(client, ask)
    echo_part(ask)
    logprobs_part(client, ask)
    budget_part(client, ask)
    pieces_part(client)
    progress_part(client, ask)
    wrong_part(openai, ask)


def texts_part(client, ask):
    whole = ask()
    text = whole.output_text
    check(text and whole.status == "incomplete" and whole.incomplete_details.reason == "max_output_tokens", f"a response: {whole}")
    check(whole.usage.output_tokens == 12 and whole.usage.total_tokens == 12 + whole.usage.input_tokens, f"usage: {whole.usage}")
    check(ask().usage.input_tokens_details.cached_tokens > 0, "the same prompt again is known")
    counted = client.responses.input_tokens.count(model="demo", input=ASKED)
    check(counted.input_tokens == whole.usage.input_tokens, f"tokens that are only counted: {counted}")
    check(whole.output[0].type == "message" and whole.output[0].status == "incomplete" and whole.store is True, f"a response: {whole}")
    events = list(ask(stream=True))
    check([event.sequence_number for event in events] == list(range(len(events))), "events are numbered")
    wanted = ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
              "content_part.done", "output_item.done", "incomplete"]
    check(event_order(events) == wanted, f"the order of events: {event_order(events)}")
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    check("".join(event.delta for event in deltas) == text and len(deltas) > 4, f"a stream: wanted {text!r}, found {deltas}")
    done = next(event for event in events if event.type == "response.output_text.done")
    last = events[-1].response
    check(done.text == text == last.output_text and last.output[0].id == done.item_id, f"a stream's end: {last}")
    check(last.usage.output_tokens == 12 and last.id == events[0].response.id, f"a stream's end: {last}")


def items_part(client, ask):
    """Conversations as items: what was answered goes back in."""
    first = ask(instructions="Tell of the sea. " * 8)
    items = [{"role": "user", "content": [{"type": "input_text", "text": ASKED}]}, *[item.model_dump() for item in first.output],
             {"role": "user", "content": "And then?"}]
    after = ask(instructions="Tell of the sea. " * 8, input=items)
    check(after.output_text and after.usage.input_tokens_details.cached_tokens > first.usage.input_tokens // 2, f"a second turn: {after.usage}")
    called = ask(tools=TOOLS, max_output_tokens=160, extra_body={"grammar": f'root ::= "Hm. " {CALL} "\\n" {CALL}'})
    kinds = [item.type for item in called.output]
    check(kinds == ["message", "function_call", "function_call"] and called.status == "completed", f"calls: {called}")
    calls = called.output[1:]
    check(all(call.name == "add" and json.loads(call.arguments)["b"] == "\n" for call in calls), f"calls: {calls}")
    check(calls[0].call_id != calls[1].call_id and calls[0].id != calls[1].id, f"calls have names of their own: {calls}")
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "3"} for call in calls]
    back = ask(tools=TOOLS, input=[{"role": "user", "content": "Add"}, *[item.model_dump() for item in called.output], *results],
               extra_body={"grammar": 'root ::= "3"'})
    check(back.output_text == "3" and back.status == "completed", f"behind the calls' results: {back}")
    forced = ask(tools=TOOLS, tool_choice={"type": "function", "name": "add"}, max_output_tokens=120, parallel_tool_calls=False)
    check([item.type for item in forced.output] == ["function_call"] and "a" in json.loads(forced.output[0].arguments), f"a call that must come: {forced}")
    with client.responses.stream(model="demo", input="Add", tools=TOOLS, temperature=0, max_output_tokens=160,
                                 extra_body={"grammar": f'root ::= "Hm. " {CALL}'}) as stream:
        events = list(stream)
        last = stream.get_final_response()
    wanted = ["function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "completed"]
    check(event_order(events)[-4:] == wanted, f"the order of a call's events: {event_order(events)}")
    check([item.type for item in last.output] == ["message", "function_call"] and json.loads(last.output[1].arguments)["b"] == "\n",
          f"a stream with a call: {last}")


def stored_part(openai, client, ask):
    """What was answered can be asked for again, gone on from, and forgotten."""

    def is_gone(call):
        try:
            call()
            return False
        except openai.NotFoundError as error:
            return error.code == "response_not_found"

    first = ask(input=[{"role": "user", "content": ASKED}, {"role": "assistant", "content": "No."}, {"role": "user", "content": "Do."}])
    check(client.responses.retrieve(first.id).model_dump() == first.model_dump(), f"a response that is asked for again: {first}")
    behind = {"input": "And then?", "previous_response_id": first.id}
    second = ask(**behind)
    by_hand = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "No."}, {"role": "user", "content": "Do."},
               *[item.model_dump() for item in first.output], {"role": "user", "content": "And then?"}]
    other = ask(input=by_hand, store=False)
    check(second.output_text == other.output_text and second.usage.input_tokens == other.usage.input_tokens, f"{second}, wanted {other}")
    check(second.previous_response_id == first.id and second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens // 2, f"{second}")
    counted = client.responses.input_tokens.count(model="demo", **behind)
    check(counted.input_tokens == second.usage.input_tokens, f"tokens behind another response: {counted}")
    check(other.store is False and is_gone(lambda: client.responses.retrieve(other.id)), f"a response that is not kept: {other}")

    items = list(client.responses.input_items.list(second.id, order="asc"))
    check([item.role for item in items] == ["user", "assistant", "user", "assistant", "user"], f"items: {items}")
    check([item.content[0].type for item in items] == ["input_text", "output_text"] * 2 + ["input_text"], f"items: {items}")
    check(items[3].id == first.output[0].id and items[3].content[0].text == first.output_text, f"items: {items}")
    check(len({item.id for item in items}) == 5 and items[4].content[0].text == "And then?", f"items: {items}")
    paged = list(client.responses.input_items.list(second.id, limit=2))
    check([item.id for item in paged] == [item.id for item in reversed(items)], f"items by pages: {paged}")

    last = list(ask(stream=True, **behind))[-1].response
    check(client.responses.retrieve(last.id).model_dump() == last.model_dump() and last.output_text == second.output_text, f"a stream: {last}")
    called = ask(tools=TOOLS, max_output_tokens=160, extra_body={"grammar": f"root ::= {CALL}"})
    results = [{"type": "function_call_output", "call_id": called.output[0].call_id, "output": "3"}]
    back = ask(tools=TOOLS, input=results, previous_response_id=called.id, extra_body={"grammar": 'root ::= "3"'})
    kinds = [item.type for item in client.responses.input_items.list(back.id, order="asc")]
    check(back.output_text == "3" and kinds == ["message", "function_call", "function_call_output"], f"a call's result: {kinds} {back}")

    client.responses.delete(first.id)
    check(is_gone(lambda: client.responses.retrieve(first.id)) and is_gone(lambda: ask(**behind)), "a response that was forgotten")
    check(is_gone(lambda: client.responses.delete(first.id)) and is_gone(lambda: client.responses.input_items.list(first.id)), "the same")
    check(client.responses.retrieve(second.id).id == second.id, "what went on from it stays")


def formats_part(client, ask):
    import pydantic

    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=8)
        age: int = pydantic.Field(ge=0, le=99)

    told = client.responses.parse(model="demo", input="Who?", temperature=0, max_output_tokens=80, text_format=Person)
    check(isinstance(told.output_parsed, Person) and told.status == "completed", f"an answer by a class: {told}")
    told = ask(max_output_tokens=40, text={"format": {"type": "json_object"}})
    check(isinstance(json.loads(told.output_text), dict), f"JSON: {told}")


def echo_part(ask):
    """An answer, and each event that has it, says what was asked."""
    form = {"type": "json_schema", "name": "c", "schema": {"enum": ["red", "gr\u00fcn"]}, "strict": True}
    asked = {"instructions": "Say \"yes\".\n", "tools": TOOLS, "tool_choice": "none", "text": {"format": form}, "metadata": {"k": "v"},
             "top_p": 0.5, "safety_identifier": "me", "parallel_tool_calls": False, "max_output_tokens": 40}
    told = [ask(**asked), *(event.response for event in ask(stream=True, **asked) if hasattr(event, "response"))]
    check(len(told) == 4, f"events with a response: {told}")
    for answer in told:
        check(answer.instructions == asked["instructions"] and answer.metadata == {"k": "v"}, f"what was asked: {answer}")
        check([tool.model_dump(exclude_none=True) for tool in answer.tools] == TOOLS, f"what was asked: {answer}")
        check(answer.tool_choice == "none" and answer.text.format.model_dump(exclude_none=True, by_alias=True) == form, f"what was asked: {answer}")
        check(answer.parallel_tool_calls is False and answer.safety_identifier == "me" and answer.top_p == 0.5, f"what was asked: {answer}")
    forced = ask(tools=TOOLS, tool_choice={"type": "function", "name": "add"}, max_output_tokens=120)
    check(forced.tool_choice.name == "add", f"what was asked: {forced}")
    check(ask(reasoning={"effort": "low", "max_tokens": 3}).reasoning.effort == "low", "what was asked of reasoning")
    plain = ask()
    check(plain.instructions is None and plain.tools == [] and plain.tool_choice == "auto" and plain.text.format.type == "text" and
          plain.metadata == {} and plain.reasoning.effort is None and plain.top_logprobs == 0, f"what was not asked: {plain}")


def logprobs_part(client, ask):
    """As a chat has them, of the message's tokens only; a stream's pieces are those of its end."""
    include = ["message.output_text.logprobs"]
    chat = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": ASKED}], temperature=0, max_tokens=12,
                                          logprobs=True, top_logprobs=2).choices[0].logprobs.content
    wanted = [(one.token, one.logprob, [(best.token, best.logprob) for best in one.top_logprobs]) for one in chat]

    def shown(logprobs):
        return [(one.token, one.logprob, [(best.token, best.logprob) for best in one.top_logprobs]) for one in logprobs]

    for more in ({"include": include, "top_logprobs": 2}, {"top_logprobs": 2}):
        part = ask(**more).output[0].content[0]
        check(shown(part.logprobs) == wanted and "".join(one.token for one in part.logprobs) == part.text, f"{more}: {part}, wanted {wanted}")
    own = ask(include=include).output[0].content[0].logprobs
    check([(one.token, one.logprob) for one in own] == [one[:2] for one in wanted] and not own[0].top_logprobs, f"logprobs: {own}")
    check(not ask().output[0].content[0].logprobs, "logprobs that nobody asked for")
    events = list(ask(include=include, top_logprobs=2, stream=True))
    pieces = [one for event in events if event.type == "response.output_text.delta" for one in event.logprobs]
    done = next(event for event in events if event.type == "response.output_text.done")
    part = next(event for event in events if event.type == "response.content_part.done").part
    for logprobs in (pieces, done.logprobs, part.logprobs, events[-1].response.output[0].content[0].logprobs):
        check(shown(logprobs) == wanted, f"logprobs of a stream: {logprobs}, wanted {wanted}")
    for stream in (False, True):
        told = ask(include=include, stream=stream, max_output_tokens=160, tools=TOOLS, extra_body={"grammar": f'root ::= "Hm. " {CALL}'})
        told = list(told)[-1].response if stream else told
        said = "".join(one.token for one in told.output[0].content[0].logprobs)
        check([item.type for item in told.output] == ["message", "function_call"] and said.startswith("Hm.") and "name" not in said,
              f"logprobs beside a call: {told}")
        told = ask(include=include, stream=stream, max_output_tokens=40, reasoning={"max_tokens": 5}, extra_body=THINK)
        told = list(told)[-1].response if stream else told
        said = "".join(one.token for one in told.output[1].content[0].logprobs)
        check(told.output_text in said and len(said) < len(told.output_text) + 8, f"logprobs beside reasoning: {told}")


def budget_part(client, ask):
    """Reasoning ends where its tokens are used up, or when somebody says so, and the answer goes on."""
    free = ask(max_output_tokens=24, extra_body=THINK)
    check([item.type for item in free.output] == ["reasoning"], f"a model that only reasons: {free}")
    check(free.usage.output_tokens_details.reasoning_tokens == 24, f"tokens of reasoning: {free.usage}")
    thought = free.output[0].content[0].text
    for budget in (0, 5):
        told = ask(max_output_tokens=40, reasoning={"max_tokens": budget}, extra_body=THINK)
        kinds = [item.type for item in told.output]
        check(kinds == ["reasoning"] * (budget > 0) + ["message"] and told.output_text, f"a budget of {budget}: {told}")
        check(budget == 0 or thought.startswith(told.output[0].content[0].text.strip()), f"a budget of {budget}: {told}")
        check("</think" not in told.output_text, f"a budget of {budget}: {told}")
    events = list(ask(stream=True, max_output_tokens=40, reasoning={"max_tokens": 5}, extra_body=THINK))
    wanted = ["reasoning_text.delta", "reasoning_text.done", "content_part.done", "output_item.done", "output_item.added"]
    check(event_order(events)[4:9] == wanted and events[-1].response.output[0].type == "reasoning", f"{event_order(events)}")
    again = [item.model_dump(exclude_none=True) for item in events[-1].response.output]
    check(ask(input=[{"role": "user", "content": "Hm"}, *again, {"role": "user", "content": "Go on"}]).output_text, "reasoning goes back in")

    def chat(**more):
        return client.chat.completions.create(model="demo", messages=[{"role": "user", "content": ASKED}], temperature=0, **more)

    whole = chat(max_tokens=40, extra_body={**THINK, "reasoning_budget_tokens": 5})
    told = whole.choices[0].message
    check(whole.usage.completion_tokens_details.reasoning_tokens > 0, f"tokens of reasoning: {whole.usage}")
    check(told.content and thought.startswith(told.reasoning_content.strip()), f"a chat with a budget: {told}")
    form = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"enum": ["red", "green"]}}}
    told = chat(max_tokens=60, response_format=form, extra_body={**THINK, "reasoning_budget_tokens": 5}).choices[0].message
    check(json.loads(told.content) in ("red", "green") and told.reasoning_content, f"a budget before an answer by a schema: {told}")
    ended = None
    kinds = set()
    # Events are so large that the answer waits while the client does something else.
    for event in chat(max_tokens=600, stream=True, logprobs=True, top_logprobs=20, extra_body=THINK):
        delta = event.choices[0].delta
        kinds |= {"content"} if delta.content else {"reasoning"} if getattr(delta, "reasoning_content", None) else set()
        if ended is None and "reasoning" in kinds:
            ended = client.post("/chat/completions/control", body={"id": event.id, "action": "reasoning_end"}, cast_to=object)
    check(ended == {"success": True} and kinds == {"reasoning", "content"}, f"reasoning that is ended: {ended} {kinds}")
    late = client.post("/chat/completions/control", body={"id": "nobody", "action": "reasoning_end"}, cast_to=object)
    check(late["success"] is False, f"reasoning of nobody: {late}")


def pieces_part(client):
    """A call's arguments come as they are written; one that breaks leaves no whole call behind."""
    long_call = CALL.replace("\\\\n", "x" * 60)
    tools = [{"type": "function", "function": {key: tool[key] for key in ("name", "description", "parameters")}} for tool in TOOLS]

    def deltas(grammar):
        asked = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Add"}], temperature=0, max_tokens=200,
                                               tools=tools, stream=True, extra_body={"grammar": f"root ::= {grammar}"})
        return [event.choices[0] for event in asked]

    told = deltas(long_call)
    pieces = [call for delta in told for call in delta.delta.tool_calls or []]
    check(all(len(delta.delta.tool_calls or []) < 2 for delta in told), "an event has one piece of one call")
    check(len(pieces) > 5 and pieces[0].function.name == "add" and {piece.index for piece in pieces} == {0}, f"pieces: {pieces}")
    check(json.loads("".join(piece.function.arguments or "" for piece in pieces))["b"] == "x" * 60, f"pieces: {pieces}")
    check(told[-1].finish_reason == "tool_calls", f"pieces: {told[-1]}")
    broken = deltas('"<tool_call>\\n{\\"name\\": \\"add\\", \\"arguments\\": {\\"a\\": nonsense}}\\n</tool_call>"')
    text = "".join(delta.delta.content or "" for delta in broken)
    begun = "".join(call.function.arguments or "" for delta in broken for call in delta.delta.tool_calls or [])
    check(begun.startswith('{"a": ') and "no" not in begun, f"what is told of a call is the beginning of JSON: {begun!r}")
    check(broken[-1].finish_reason == "stop" and "nonsense" in text, f"a call that breaks: {text!r} {broken[-1]}")


def progress_part(client, ask):
    words = "".join(f"{number} ships and {number * 7 % 31} men. " for number in range(60))
    events = list(ask(input=words, stream=True, max_output_tokens=2, extra_body={"return_progress": True}))
    told = [event.model_extra["prompt_progress"] for event in events if event.type == "response.in_progress" and event.model_extra]
    chat = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": words[::-1]}], stream=True, max_tokens=2,
                                          extra_body={"return_progress": True})
    for steps in (told, [event.model_extra["prompt_progress"] for event in chat if event.model_extra.get("prompt_progress")]):
        done = [step["processed"] for step in steps]
        total = steps[-1]["total"]
        check(len(done) > 2 and done == sorted(done) and done[-1] == total > 200, f"how far a prompt is: {steps}")
        check(steps[0]["processed"] == steps[0]["cache"] < total and all(step["time_ms"] >= 0 for step in steps), f"{steps}")


def wrong_part(openai, ask):
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]
    for wrong, field in (({"previous_response_id": "resp_1"}, "previous_response_id"), ({"extra_body": {"store": 1}}, "store"), ({"background": True}, "background"),
                         ({"input": picture}, "input"), ({"input": []}, "input"), ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
                         ({"tools": [{"type": "web_search"}]}, "tools"), ({"tools": [{**TOOLS[0], "strict": True}]}, "strict"),
                         ({"tool_choice": {"type": "function", "name": "sub"}, "tools": TOOLS}, "tool_choice"),
                         ({"truncation": "auto"}, "truncation"), ({"include": ["file_search_call.results"]}, "include"),
                         ({"top_logprobs": 21}, "top_logprobs"), ({"include": ["message.output_text.logprobs", "x"]}, "include"), ({"max_output_tokens": 0}, "max_output_tokens"), ({"model": "other"}, "model"),
                         ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"not": {}}}}}, "text.format"),
                         ({"reasoning": {"effort": "huge"}}, "reasoning.effort"), ({"reasoning": {"max_tokens": -1}}, "reasoning.max_tokens"),
                         ({"reasoning": {"max_tokens": 5}, "extra_body": {"grammar": 'root ::= "x"'}}, "reasoning.max_tokens"),
                         ({"input": "word " * 1100}, "input"), ({"extra_body": {"frobnicate": 1}}, "frobnicate")):
        try:
            ask(**wrong)
            check(False, f"{wrong} was accepted")
        except (openai.BadRequestError, openai.NotFoundError) as error:
            check(error.param == field, f"{wrong}: wanted param {field}, found {error.body}")
    try:
        ask(extra_body={"return_progress": True})
        check(False, "progress without a stream was accepted")
    except openai.BadRequestError as error:
        check(error.param == "return_progress", f"progress without a stream: {error.body}")


def anthropic_part(port):
    """A budget in Anthropic's way, and a call in pieces."""
    import anthropic
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none", max_retries=0)
    asked = {"model": "demo", "messages": [{"role": "user", "content": "The old man"}], "extra_body": {"temperature": 0}}
    told = client.messages.create(**asked, max_tokens=40, thinking={"type": "enabled", "budget_tokens": 5})
    check([block.type for block in told.content] == ["thinking", "text"] and told.content[1].text, f"a budget: {told}")
    with client.messages.stream(**asked, max_tokens=120, thinking={"type": "disabled"}, tool_choice={"type": "tool", "name": "add"},
                                tools=[{"name": "add", "input_schema": TOOLS[0]["parameters"]}]) as events:
        names = [event.type for event in events]
        last = events.get_final_message()
    check(names.count("input_json") > 3 and last.stop_reason == "tool_use" and isinstance(last.content[-1].input, dict), f"a call: {last}")
    check([block.type for block in last.content][-1:] == ["tool_use"], f"a call: {last}")


def event_names(server):
    """What the client hides: each event's name is its type."""
    told = server.ask("POST", "/v1/responses", {"input": "Hi", "max_output_tokens": 2, "stream": True})[2]
    events = re.findall(r"event: ([\w.]+)\ndata: (.*)\n\n", told)
    check(len(events) > 8 and [name for name, _ in events] == [json.loads(data)["type"] for _, data in events], f"events: {told}")
    check("".join(f"event: {name}\ndata: {data}\n\n" for name, data in events) == told, f"events: {told}")


def a_stream_that_fails(server):
    """The grammar's next token is forbidden: what was written stays, and the end says why."""
    ids = server.ask("POST", "/tokenize", {"content": "\x01"})[2]["tokens"]
    told = server.ask("POST", "/v1/responses", {"input": "The", "stream": True, "grammar": 'root ::= "a" "\\x01"',
                                               "logit_bias": {str(ids[0]): -100}})[2]
    events = [json.loads(data) for data in re.findall(r"\ndata: (.*)\n\n", told)]
    check(events[-1]["type"] == "response.failed" and "grammar" in events[-1]["response"]["error"]["message"], f"a failure: {told}")
    check([event["sequence_number"] for event in events] == list(range(len(events))), f"a failure: {told}")
    check(any(event["type"] == "response.output_text.delta" for event in events), f"a failure: {told}")


def shelf_by_hand():
    """Little room, other people's keys, questions that nobody answers; and tools that only other servers have."""
    tools = [{"type": "web_search"}, *TOOLS, {"type": "custom", "name": "patch"}]
    path = os.path.join(FOLDER, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write("first-first-first\nother-other-other\n")

    def ask(server, key="first-first-first", **more):
        return server.ask("POST", "/v1/responses", {"input": "The sea", "max_output_tokens": 2, **more}, x_api_key=key)

    with serve.Server("--stored-bytes", "120K", "--ctx", 512, "--api-key-file", path, "--ignore-tools", template=TOOLS_TEMPLATE) as server:
        def look(name, key="first-first-first", method="GET"):
            return server.ask(method, f"/v1/responses/{name}", x_api_key=key)

        status, _, one = ask(server)
        check(status == 200 and one["store"] is True and look(one["id"])[0] == 200, f"a response: {one}")
        check(look(one["id"], "other-other-other")[0] == 404 and look(one["id"], "other-other-other", "DELETE")[0] == 404, "another's response")
        check(ask(server, "other-other-other", previous_response_id=one["id"])[0] == 404, "another's response")
        me = [server.ask("GET", "/v1/me", x_api_key=key)[2]["id"] for key in ("first-first-first", "other-other-other")]
        check(me == ["key-1", "key-2"], f"who asks: {me}")
        for wrong in ("?limit=0", "?limit=101", "?limit=x", "?order=up", "?after=nobody", "?include=x"):
            check(look(one["id"] + "/input_items" + wrong)[0] == 400, f"items {wrong}")
        check(look(one["id"] + "?stream=true")[0] == 400, "a parameter that nobody knows")
        status, headers, _ = look(one["id"], method="POST")
        check(status == 405 and headers["Allow"] == "GET, HEAD, DELETE", f"a method that is not there: {status} {headers['Allow']}")
        names = [ask(server, input="word " * 200)[2]["id"] for _ in range(60)]
        check(look(names[-1])[0] == 200 and look(names[0])[0] == 404, "the oldest ones make room")
        said = server.ask("GET", "/metrics", x_api_key="first-first-first")[2]
        kept = {name: float(value) for name, value in re.findall(r"^weir_stored_(\w+) (\S+)$", said, re.M)}
        check(1 < kept["responses"] < 60 and kept["bytes"] <= 120 << 10, f"what is kept: {kept}")
        told = ask(server, tools=tools)
        check(told[0] == 200 and [tool["type"] for tool in told[2]["tools"]] == ["function"], f"tools that are left out: {told}")
        check(ask(server, tools=tools, tool_choice={"type": "web_search"})[0] == 400, "a tool that is left out and must be called")
        told = server.ask("POST", "/v1/messages", {"max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}], "tools": [
            {"type": "web_search_20250305", "name": "web_search"}, {"name": "add", "input_schema": {"type": "object"}}]},
            x_api_key="first-first-first")
        check(told[0] == 200, f"Anthropic's tools that are left out: {told}")
    with serve.Server("--stored-bytes", 0, template=TOOLS_TEMPLATE) as server:
        check(ask(server)[2]["store"] is False, "a server that keeps nothing")
        for wrong in ({"store": True}, {"previous_response_id": "resp-1"}, {"tools": tools}):
            status, _, told = ask(server, **wrong)
            check(status == 400 and told["error"]["param"] in wrong and "--" in told["error"]["message"], f"{wrong}: {status} {told}")
        told = [server.ask("GET", f"/v1/models/{name}") for name in ("demo", "other")]
        check(told[0][2]["id"] == "demo" and told[1][2]["error"]["code"] == "model_not_found", f"one model: {told}")
        check(server.ask("GET", "/v1/me")[2]["id"] == "local", "who asks")


def main():
    if sys.argv[1:2] == ["--client"]:
        client_part(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--anthropic"]:
        anthropic_part(int(sys.argv[2]))
        return
    global FOLDER, TOOLS_TEMPLATE
    FOLDER = folder = scratch_folder()
    try:
        TOOLS_TEMPLATE = path = os.path.join(folder, "tools.jinja")
        with open(path, "w", encoding="ascii") as file:
            file.write(serve.TEMPLATE)
        shelf_by_hand()
        with serve.Server("--chunk", 64, template=path) as server:
            serve.run_client("--client", server, script=__file__)
            serve.run_client("--anthropic", server, script=__file__)
            event_names(server)
            a_stream_that_fails(server)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
