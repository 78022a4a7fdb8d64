#!/usr/bin/env python3
"""openapi.py - weir serve's own description of its API: each member that it names is read, and no other. `long`: schemathesis finds no
request that makes the server fail, nor an answer that is not as the description says."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve
from harness import LONG, check, remove, scratch_folder, use_package

# What each must have beside the member that is looked at, so that this one is what is wrong.
LEAST = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    "/v1/chat/completions/control": {"id": "x", "action": "reasoning_end"},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 1},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 1},
    "/v1/responses/input_tokens": {"input": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "Hi"}]},
    "/apply-template": {"messages": [{"role": "user", "content": "Hi"}]},
    "/tokenize": {"content": "Hi"},
    "/detokenize": {"tokens": [300]},
}


def wrong_values(schema):
    """Values that a schema does not have."""
    kinds = schema.get("anyOf", [schema])
    types = {kind.get("type") for kind in kinds}
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    yield {"x": 1} if "object" not in types else 3 if "array" in types else [{"x": [1]}]


def members_are_read(server, document):
    routes = [path for path, methods in document["paths"].items() if "post" in methods]
    check(set(routes) == set(LEAST), f"what is posted to: {routes}")
    for path in routes:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        status, _, told = server.ask("POST", path, LEAST[path])
        check(status == 200, f"{path} {LEAST[path]}: {status} {told}")
        for name in body["required"]:
            left = {key: value for key, value in LEAST[path].items() if key != name}
            check(server.ask("POST", path, left)[0] == 400, f"{path} without {name} was accepted")
        status, _, told = server.ask("POST", path, {**LEAST[path], "frobnicate": 1})
        check(status == 400 and "frobnicate" in told["error"]["message"], f"{path}: an unknown member: {told}")
        for name, schema in body["properties"].items():
            check(server.ask("POST", path, {**LEAST[path], name: LEAST[path].get(name)})[0] == 200, f"{path}: {name} is null")
            for value in wrong_values(schema["anyOf"][0]):
                status, _, told = server.ask("POST", path, {**LEAST[path], name: value})
                check(status in (400, 404) and told["error"].get("code") != "unknown_parameter", f"{path}: {name} {value}: {status} {told}")


def schemathesis(server, folder):
    use_package("schemathesis==4.32.5")
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks",
         "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance", "--max-examples",
         "40", "--seed", "7", "--generation-database", "none", "--request-timeout", "60", "--no-color", "--suppress-health-check", "all",
         "--phases", "examples,coverage,fuzzing"],
        capture_output=True, text=True, cwd=folder)
    check(done.returncode == 0, f"schemathesis: {done.returncode}: {done.stdout[-6000:]} {done.stderr[-2000:]}")
    check(server.ask("GET", "/health")[0] == 200, "the server answers on")


def main():
    folder = scratch_folder()
    try:
        with serve.Server("-n", 4, "--parallel", 4) as server:
            document = server.ask("GET", "/openapi.json")[2]
            check(document["openapi"].startswith("3.1"), f"the description: {document}")
            members_are_read(server, document)
            if LONG:
                schemathesis(server, folder)
    finally:
        remove(folder)


if __name__ == "__main__":
    main()
