#!/usr/bin/env python3
"""clients.py - what agents are made of, against weir serve: a loop of tool calls, LangChain's ChatOpenAI, LiteLLM.

The loop goes on with one conversation for 20 calls (6 without `long`), and each token of it is read once; what was written is known too. `./run-tests long` has the two
libraries too: chat, streams, tools, structured output, as their users write them. The demo model knows no tools, so calls
are forced. What uses a library runs in a Python of its own: `clients.py --langchain PORT`, `--litellm PORT`.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gguf_edit import Gguf
from harness import DEMO, LONG, check, remove, scratch_folder, use_package
from serve import TEMPLATE, Server

CALLS = 20 if LONG else 6
CHATS = 6
POSITIONS = 4096
LIBRARIES = [("--langchain", "langchain-openai==1.7.4"), ("--litellm", "litellm==1.110.2")]


def make_long_demo(folder):
    """The demo model, said to have been trained for more positions than it was."""
    model = Gguf(DEMO)
    model.set("qwen3moe.context_length", "u32", POSITIONS)
    return model.write(os.path.join(folder, "long.gguf"))


# ---- a loop of calls -------------------------------------------------------------------------


def tool(name, properties):
    return {"type": "function", "function": {"name": name, "description": f"does {name}", "parameters": {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}}}


AGENT_TOOLS = [tool("look", {"room": {"enum": ["kitchen", "cellar", "garden"]}}), tool("wait", {"minutes": {"type": "integer", "minimum": 0,
                                                                                                      "maximum": 59}})]


def agent_part(server):
    """Each turn has all that was before it, and computes only what is new."""
    messages = [{"role": "system", "content": "You look after a house. Look into the rooms, one after the other, and tell what you see."},
                {"role": "user", "content": "Where is the cat?"}]
    before = {name: server.metric(f"{name}_tokens_total") for name in ("prompt", "cached", "written")}
    last_prompt = prompts = computed = written = 0
    for turn in range(CALLS):
        status, _, answer = server.ask("POST", "/v1/chat/completions", {
            "messages": messages, "tools": AGENT_TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "temperature": 1, "seed": turn,
            "max_tokens": 80})
        check(status == 200, f"turn {turn}: {status} {answer}")
        choice, usage = answer["choices"][0], answer["usage"]
        calls = choice["message"]["tool_calls"]
        check(choice["finish_reason"] == "tool_calls" and len(calls) == 1, f"turn {turn}: {choice}")
        prompt, cached = usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]
        check(last_prompt - 1 <= cached < prompt, f"turn {turn}: of {prompt} tokens {cached} are known, and {last_prompt} were read before")
        last_prompt, prompts = prompt, prompts + prompt
        computed, written = computed + prompt - cached, written + usage["completion_tokens"]
        arguments = json.loads(calls[0]["function"]["arguments"])
        messages += [choice["message"], {"role": "tool", "tool_call_id": calls[0]["id"], "content": f"Nothing at {list(arguments.values())[0]}."}]
    after = {name: server.metric(f"{name}_tokens_total") - count for name, count in before.items()}
    check(after["prompt"] == prompts and after["cached"] == prompts - computed and written <= after["written"] <= written + CALLS,
          f"the metrics of {CALLS} turns: {after}, their usage: {prompts} {computed} {written}")
    print(f"{CALLS} calls: {prompts} tokens of prompts, {computed} of them computed, for a conversation of {prompt}; {written} written")
    check(computed <= prompt, f"{computed} tokens were read for a conversation of {prompt}: some were read twice")


def chat_part(server):
    """What a model wrote is not even read once, where it spells a text as the tokenizer does. The demo model does so in prose; of
    calls it knows so little that it spells them by letters, and what comes back from a client are other tokens."""
    messages, known, is_plain, reused = [{"role": "user", "content": "The old man and the sea"}], 0, False, 0
    for _ in range(CHATS):
        status, _, answer = server.ask("POST", "/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 16, "logprobs": True})
        check(status == 200, f"a turn: {status} {answer}")
        choice, usage = answer["choices"][0], answer["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        check(cached >= known - 1, f"a turn: {cached} tokens are known, wanted {known}")
        reused += is_plain
        text = choice["message"]["content"]
        ids = server.ask("POST", "/tokenize", {"content": text})[2]["tokens"]
        spelled = [server.ask("POST", "/detokenize", {"tokens": [token]})[2]["content"] for token in ids]
        is_plain = spelled == [one["token"] for one in choice["logprobs"]["content"]]
        known = usage["prompt_tokens"] + (usage["completion_tokens"] if is_plain else 0)
        messages += [choice["message"], {"role": "user", "content": " And then he said"}]
    check(reused > CHATS // 2, f"of {CHATS} turns {reused} had an answer before them that the tokenizer spells as the model")


# ---- LangChain -------------------------------------------------------------------------------


def langchain_part(port):
    import asyncio
    from typing import Literal

    from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
    from langchain_core.tools import tool as as_tool
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel, Field

    class Person(BaseModel):
        """Somebody."""
        name: str = Field(max_length=8, description="How the person is called")
        eyes: Literal["brown", "green"]
        age: int = Field(ge=0, le=99)

    @as_tool
    def paint(color: Literal["red", "green"]) -> str:
        """Paints the house."""
        return f"It is {color}."

    def model(**more):
        return ChatOpenAI(**{"model": "demo", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "none", "temperature": 0, "max_tokens": 24,
                             "max_retries": 0, "stream_usage": True, **more})

    asked = [SystemMessage("Tell of the sea and of those who live by it. " * 4), HumanMessage("The old man")]
    whole = model().invoke(asked)
    check(whole.content and whole.usage_metadata["output_tokens"] == 24 and whole.response_metadata["finish_reason"] == "length", f"chat: {whole}")
    pieces = list(model().stream(asked))
    check("".join(piece.content for piece in pieces) == whole.content and len(pieces) > 4, f"a stream: {pieces}")
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    check(total.usage_metadata["output_tokens"] == 24 and total.usage_metadata["input_token_details"]["cache_read"] > 0, f"usage: {total}")
    both = model().batch([asked, [HumanMessage("The sea was")]])
    check(both[0].content == whole.content and both[1].content != whole.content, f"two at once: {both}")
    check(asyncio.run(model().ainvoke(asked)).content == whole.content, "asynchronously")
    told = model(logprobs=True, top_logprobs=2, max_tokens=4).invoke(asked).response_metadata["logprobs"]["content"]
    check(len(told) == 4, f"logprobs: {told}")
    check(model(stop=[whole.content[5:9]]).invoke(asked).content == whole.content[:whole.content.index(whole.content[5:9])], "a stop text")

    for choice in ("paint", "any"):
        bound = model(max_tokens=120).bind_tools([paint], tool_choice=choice, parallel_tool_calls=False)
        called = bound.invoke(asked)
        check([call["name"] for call in called.tool_calls] == ["paint"] and not called.invalid_tool_calls, f"a call: {called}")
        check(called.tool_calls[0]["args"]["color"] in ("red", "green"), f"a call: {called}")
        total = None
        for piece in bound.stream(asked):
            total = piece if total is None else total + piece
        check([call["args"] for call in total.tool_calls] == [call["args"] for call in called.tool_calls], f"a stream of calls: {total}")
    result = paint.invoke(called.tool_calls[0])
    check(isinstance(result, ToolMessage), f"a call's result: {result}")
    after = model().bind_tools([paint]).invoke([*asked, called, result])
    check(after.content or after.tool_calls, f"behind a call's result: {after}")

    for way in ("json_schema", "function_calling"):
        found = model(max_tokens=160).with_structured_output(Person, method=way).invoke(asked)
        check(isinstance(found, Person) and 0 <= found.age <= 99, f"{way}: {found}")
    told = list(model(max_tokens=160).with_structured_output(Person, method="json_schema").stream(asked))
    check(isinstance(told[-1], Person), f"a stream of an object: {told}")
    check(isinstance(json.loads(model(max_tokens=80).bind(response_format={"type": "json_object"}).invoke(asked).content), dict), "JSON")
    responses = model(use_responses_api=True)
    text = responses.invoke(asked).text
    check(text == whole.content, f"by the responses API: wanted {whole.content!r}, found {text!r}")
    streamed = "".join(piece.text for piece in responses.stream(asked))
    check(streamed == text, f"a stream of the responses API: {streamed!r}")
    called = model(max_tokens=120, use_responses_api=True).bind_tools([paint], tool_choice="paint", parallel_tool_calls=False).invoke(asked)
    check([call["name"] for call in called.tool_calls] == ["paint"], f"a call by the responses API: {called}")
    print("LangChain's ChatOpenAI: chat, streams, tools, structured output")


# ---- LiteLLM ---------------------------------------------------------------------------------


def litellm_part(port):
    import asyncio
    from typing import Literal

    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # prices, which it would ask the network for
    import litellm
    from pydantic import BaseModel

    class House(BaseModel):
        color: Literal["red", "green"]
        rooms: Literal[1, 2, 3]

    litellm.telemetry = False
    tools = [tool("paint", {"color": {"enum": ["red", "green"]}})]
    base = {"model": "openai/demo", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none", "temperature": 0, "max_tokens": 24,
            "messages": [{"role": "user", "content": "The old man"}], "num_retries": 0}

    def ask(**more):
        return litellm.completion(**{**base, **more})

    whole = ask()
    text = whole.choices[0].message.content
    check(text and whole.usage.completion_tokens == 24 and whole.choices[0].finish_reason == "length", f"chat: {whole}")
    pieces = list(ask(stream=True, stream_options={"include_usage": True}))
    check("".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == text and len(pieces) > 4, f"a stream: {pieces}")
    check(pieces[-1].usage.completion_tokens == 24, f"usage of a stream: {pieces[-1]}")
    check(asyncio.run(litellm.acompletion(**base)).choices[0].message.content == text, "asynchronously")
    check(len(ask(n=2, temperature=1, seed=1).choices) == 2, "two answers")
    check(len(ask(logprobs=True, top_logprobs=2, max_tokens=3).choices[0].logprobs.content) == 3, "logprobs")
    for choice in ("required", {"type": "function", "function": {"name": "paint"}}):
        called = ask(tools=tools, tool_choice=choice, parallel_tool_calls=False, max_tokens=120).choices[0]
        calls = called.message.tool_calls
        check(called.finish_reason == "tool_calls" and json.loads(calls[0].function.arguments)["color"] in ("red", "green"), f"a call: {called}")
        pieces = list(ask(tools=tools, tool_choice=choice, parallel_tool_calls=False, max_tokens=120, stream=True))
        rebuilt = litellm.stream_chunk_builder(pieces).choices[0].message.tool_calls
        check(rebuilt[0].function.arguments == calls[0].function.arguments, f"a stream of calls: {rebuilt}")
    messages = [*base["messages"], called.message.model_dump(), {"role": "tool", "tool_call_id": calls[0].id, "content": "done"}]
    check(ask(messages=messages, tools=tools, tool_choice="none").choices[0].message.content, "behind a call's result")
    made = House.model_validate_json(ask(response_format=House, max_tokens=120).choices[0].message.content)
    check(made.color in ("red", "green"), f"an object by a class: {made}")
    done = litellm.text_completion(**{name: value for name, value in base.items() if name != "messages"} |
                                   {"model": "text-completion-openai/demo", "prompt": "The old man"})
    check(done.choices[0].text, f"a completion: {done}")
    try:
        ask(temperature=9)
        check(False, "a temperature of 9 was accepted")
    except litellm.BadRequestError as error:
        check("temperature" in str(error), f"a wrong request: {error}")
    print("LiteLLM: chat, streams, tools, structured output, completions")


def run_library(part, package, server):
    """In a Python of its own that finds this library alone."""
    kept = os.environ.get("PYTHONPATH")
    use_package(package)
    done = subprocess.run([sys.executable, os.path.abspath(__file__), part, str(server.port)], capture_output=True, text=True)
    check(done.returncode == 0, f"the library {package}: {done.stdout[-3000:]} {done.stderr[-3000:]}")
    print(done.stdout.strip().splitlines()[-1])
    os.environ.pop("PYTHONPATH")
    if kept is not None:
        os.environ["PYTHONPATH"] = kept


def main():
    parts = {"--langchain": langchain_part, "--litellm": litellm_part}
    if sys.argv[1:2] and sys.argv[1] in parts:
        parts[sys.argv[1]](int(sys.argv[2]))
        return
    folder = scratch_folder()
    try:
        template = os.path.join(folder, "tools.jinja")
        with open(template, "w", encoding="ascii") as file:
            file.write(TEMPLATE)
        with Server(template=template, model=(make_long_demo(folder), "--alias", "demo")) as server:
            agent_part(server)
            chat_part(server)
            for part, package in LIBRARIES if LONG else ():
                run_library(part, package, server)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
