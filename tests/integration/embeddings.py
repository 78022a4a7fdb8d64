#!/usr/bin/env python3
"""embeddings.py - weir serve: /v1/embeddings by OpenAI's own client: texts, ids, many at once, beside others; transformers' own means."""
import base64
import concurrent.futures
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve
from harness import ROOT, check

TEXTS = ["The old man and the sea.", "A ship", "Once upon a time there was a house by the road. " * 20, "She opened the door."]


def client_part(port):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    def ask(texts, **more):
        return client.embeddings.create(**{"model": "demo", "input": texts, **more})

    whole = ask(TEXTS)  # this client asks for base64 unless it is told otherwise
    vectors = [one.embedding for one in whole.data]
    check([one.index for one in whole.data] == [0, 1, 2, 3] and whole.usage.prompt_tokens == whole.usage.total_tokens > 200, f"{whole.usage}")
    check(all(abs(math.sqrt(sum(value * value for value in one)) - 1) < 1e-6 for one in vectors), "embeddings have length 1")
    check(all(vectors[0] != other for other in vectors[1:]), "other texts, other embeddings")
    listed = [one.embedding for one in ask(TEXTS, encoding_format="float").data]
    check([[struct.unpack("f", struct.pack("f", value))[0] for value in one] for one in listed] == vectors, "numbers and base64 differ")
    check(ask(TEXTS[2]).data[0].embedding == vectors[2], "one text")
    client.completions.create(model="demo", prompt=TEXTS[2], max_tokens=1)
    check(ask(TEXTS[2]).data[0].embedding == vectors[2], "a text whose beginning is known")
    ids = [client.post("/../tokenize", body={"content": text, "add_special": True}, cast_to=object)["tokens"] for text in TEXTS]
    check([one.embedding for one in ask(ids).data] == vectors and ask(ids[1]).data[0].embedding == vectors[1], "token ids")
    many = ask([TEXTS[at % 4] for at in range(64)]).data
    check([one.embedding for one in many] == [vectors[at % 4] for at in range(64)], "64 texts")

    def chat(_):
        return client.completions.create(model="demo", prompt="The old man", max_tokens=24, temperature=0).choices[0].text

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = pool.map(chat, range(4))
        beside = pool.map(ask, [TEXTS] * 4)
        check(all([one.embedding for one in each.data] == vectors for each in beside), "embeddings in company")
        check(len(set(texts)) == 1, "texts beside embeddings")
    for wrong, field in (({"dimensions": 8}, "dimensions"), ({"input": ""}, "input"), ({"input": []}, "input"), ({"input": ["x", ""]}, "input"),
                         ({"input": [1, 10**9]}, "input"), ({"input": [[]]}, "input"), ({"encoding_format": "int8"}, "encoding_format"),
                         ({"input": "word " * 1100}, "input"), ({"model": "other"}, "model"), ({"extra_body": {"frobnicate": 1}}, "frobnicate")):
        try:
            ask(**{"texts": "x", **{("texts" if name == "input" else name): value for name, value in wrong.items()}})
            check(False, f"{wrong} was accepted")
        except (openai.BadRequestError, openai.NotFoundError) as error:
            check(error.param == field, f"{wrong}: wanted param {field}, found {error.body}")
    print(json.dumps(vectors))


def transformers_means():
    """The golden model's ids give the mean that transformers has."""
    folder = os.path.join(ROOT, "tests", "golden", "directories", "gpt-oss")
    with open(os.path.join(folder, "ids.txt"), encoding="ascii") as file:
        ids = [int(word) for word in file.read().split()]
    with open(os.path.join(folder, "mean.f32"), "rb") as file:
        wanted = [value for value, in struct.iter_unpack("<f", file.read())]
    with serve.Server(model=(folder, "--alias", "demo")) as server:
        status, _, told = server.ask("POST", "/v1/embeddings", {"input": ids})
        check(status == 200, f"ids of a golden model: {told}")
        worst = max(abs(one - other) for one, other in zip(told["data"][0]["embedding"], wanted, strict=True))
        check(worst < 2e-3, f"transformers' mean differs by {worst}")  # keys and values are f16 here


def main():
    if sys.argv[1:2] == ["--client"]:
        client_part(int(sys.argv[2]))
        return
    with serve.Server("--parallel", 8, "--chunk", 256) as server:
        told = json.loads(serve.run_client("--client", server, script=__file__).stdout)
    with serve.Server("--parallel", 8, "--chunk", 24) as server:
        status, _, short = server.ask("POST", "/v1/embeddings", {"input": TEXTS, "encoding_format": "base64"})
        check(status == 200, f"embeddings by hand: {short}")
        vectors = [[value for value, in struct.iter_unpack("<f", base64.b64decode(one["embedding"]))] for one in short["data"]]
        check(vectors == told, "a chunk's length changes an embedding")
    transformers_means()


if __name__ == "__main__":
    main()
