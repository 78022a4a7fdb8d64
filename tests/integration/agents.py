#!/usr/bin/env python3
"""agents.py - weir serve: an agent's twenty calls in one conversation compute each token once. `long`: over each of the three APIs, and
LangChain's and LiteLLM's OpenAI classes."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve
from harness import LONG, check, remove, scratch_folder

TURNS = 20
SCHEMA = {"type": "object", "properties": {}}
CALL = '"<tool_call>\\n{\\"name\\": \\"f\\", \\"arguments\\": {}}\\n</tool_call>"'
# Short, so that twenty turns fit in the demo model's context.
TEMPLATE = """{% if tools %}{{ tools | length }}{% endif %}{% for m in messages %}
{{ m.content }}{% for call in m.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endfor %}
"""
SHARED_MIN = 32  # tokens at the beginning that are worth going back to


def judge(name, turns):
    """turns: of each the tokens of its prompt, and those that were known. The grammar makes this model write its calls in tokens that no
    text has, so the last answer is read once; whatever was in the prompt before is known."""
    check(len(turns) == TURNS, f"{name}: {len(turns)} turns")
    for (before, _), (_, known) in zip(turns, turns[1:]):
        check(known >= before or before < SHARED_MIN, f"{name}: a token of a prompt is computed again: {turns}")
    computed = sum(prompt - known for prompt, known in turns)
    check(computed <= turns[-1][0] + SHARED_MIN, f"{name}: {computed} tokens of prompts were computed: {turns}")


def openai_part(port):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    asked = {"model": "demo", "temperature": 0, "extra_body": {"grammar": f"root ::= {CALL}"}}
    messages, turns = [{"role": "user", "content": "Work through it."}], []
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
    for turn in range(TURNS):
        told = client.chat.completions.create(**asked, messages=messages, tools=tools, max_tokens=80)
        call = told.choices[0].message.tool_calls[0]
        messages += [told.choices[0].message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": str(turn)}]
        turns.append((told.usage.prompt_tokens, told.usage.prompt_tokens_details.cached_tokens))
    judge("chat", turns)


def responses_part(port):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    asked = {"model": "demo", "temperature": 0, "extra_body": {"grammar": f"root ::= {CALL}"}}
    items, turns = [{"role": "user", "content": "Go through it."}], []
    tools = [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}]
    for turn in range(TURNS):
        told = client.responses.create(**asked, input=items, tools=tools, max_output_tokens=80)
        items += [*(item.model_dump(exclude_none=True) for item in told.output),
                  {"type": "function_call_output", "call_id": told.output[0].call_id, "output": str(turn)}]
        turns.append((told.usage.input_tokens, told.usage.input_tokens_details.cached_tokens))
    judge("responses", turns)


def anthropic_part(port):
    import anthropic
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none", max_retries=0)
    messages, turns = [{"role": "user", "content": "Carry it out."}], []
    for turn in range(TURNS):
        told = client.messages.create(model="demo", messages=messages, max_tokens=80, tools=[{"name": "f", "input_schema": SCHEMA}],
                                      tool_choice={"type": "any", "disable_parallel_tool_use": True}, extra_body={"temperature": 0})
        call = told.content[0]
        messages += [{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in told.content]},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": str(turn)}]}]
        usage = told.usage
        turns.append((usage.input_tokens + usage.cache_read_input_tokens, usage.cache_read_input_tokens))
    judge("messages", turns)


def langchain_part(port):
    import langchain_openai
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import tool

    @tool
    def f() -> str:
        """does it"""
        return "done"

    base = {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": "none", "model": "demo", "temperature": 0, "max_retries": 0}
    for responses in (False, True):
        chat = langchain_openai.ChatOpenAI(**base, max_tokens=80, use_responses_api=responses)
        check(chat.invoke("The old man").text, "LangChain: a chat")
        check(len(list(chat.stream("The old man"))) > 4, "LangChain: a stream")
        bound = chat.bind_tools([f], tool_choice="f", strict=False)
        whole = bound.invoke("Do it")
        check(whole.tool_calls[0]["name"] == "f" and whole.tool_calls[0]["args"] == {}, f"LangChain: a call: {whole}")
        pieces = None
        for piece in bound.stream("Do it"):
            pieces = piece if pieces is None else pieces + piece
        check(pieces.tool_calls[0]["name"] == "f" and not pieces.invalid_tool_calls, f"LangChain: a call in a stream: {pieces}")
        after = chat.invoke([("user", "Do it"), whole, ToolMessage("done", tool_call_id=whole.tool_calls[0]["id"])])
        check(after.text, f"LangChain: behind a call: {after}")
        color = {"title": "color", "type": "object", "properties": {"color": {"enum": ["red", "green"]}}, "required": ["color"],
                 "additionalProperties": False}
        made = chat.with_structured_output(color, method="json_schema").invoke("Which?")
        check(made["color"] in ("red", "green"), f"LangChain: an answer by a schema: {made}")
    embed = langchain_openai.OpenAIEmbeddings(base_url=base["base_url"], api_key="none", model="demo", check_embedding_ctx_length=False)
    vectors = embed.embed_documents(["a", "b"])
    check(len(vectors) == 2 and vectors[0] != vectors[1], "LangChain: embeddings")


def litellm_part(port):
    import litellm
    base = {"model": "openai/demo", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none"}
    asked = {**base, "messages": [{"role": "user", "content": "The old man"}], "temperature": 0, "max_tokens": 80}
    check(litellm.completion(**asked).choices[0].message.content, "LiteLLM: a chat")
    check(len(list(litellm.completion(**asked, stream=True))) > 4, "LiteLLM: a stream")
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
    told = litellm.completion(**asked, tools=tools, tool_choice="required").choices[0].message
    check(told.tool_calls[0].function.name == "f", f"LiteLLM: a call: {told}")
    form = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object", "properties": {"c": {"enum": [1, 2]}}, "required": ["c"]}}}
    told = litellm.completion(**asked, response_format=form).choices[0].message
    check(json.loads(told.content)["c"] in (1, 2), f"LiteLLM: an answer by a schema: {told}")
    check(litellm.responses(**base, input="The old man", max_output_tokens=8).output, "LiteLLM: a response")
    check(len(litellm.embedding(**base, input=["a", "b"], encoding_format="float").data) == 2, "LiteLLM: embeddings")


PARTS = {"--openai": openai_part, "--responses": responses_part, "--anthropic": anthropic_part, "--langchain": langchain_part, "--litellm": litellm_part}


def main():
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        PARTS[sys.argv[1]](int(sys.argv[2]))
        return
    folder = scratch_folder()
    try:
        path = os.path.join(folder, "tools.jinja")
        with open(path, "w", encoding="ascii") as file:
            file.write(TEMPLATE)
        with serve.Server(template=path) as server:
            serve.run_client("--openai", server, script=__file__)
            if LONG:
                serve.run_client("--responses", server, script=__file__)
                serve.run_client("--anthropic", server, script=__file__)
                serve.run_client("--langchain", server, ["langchain-openai==1.7.4"], script=__file__)
                serve.run_client("--litellm", server, ["litellm==1.110.2"], script=__file__)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
