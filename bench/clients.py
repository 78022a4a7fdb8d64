"""clients.py - many clients of a completion server in one process: sockets under asyncio, for server.py.

What comes is kept with its time and read when it is whole, so that the clients take little of the processors that they share with
the server. Each request has a connection of its own.
"""
import asyncio
import bisect
import json
import math
import time


class Call(asyncio.Protocol):
    """Sends a request and keeps what comes: (time, bytes)."""

    def __init__(self, request):
        self.request, self.parts = request, []
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(self.request)

    def data_received(self, data):
        self.parts.append((time.perf_counter(), data))

    def connection_lost(self, error):
        if not self.over.done():
            self.over.set_result(error)


class Answer:
    """Status, text, number of tokens, logprobs of a completion, and when its events came."""

    def __init__(self, begun, parts, error):
        self.begun, self.end = begun, parts[-1][0] if parts else time.perf_counter()
        self.error = error
        raw = b"".join(data for _, data in parts)
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/1.") else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.text, self.tokens, self.logprobs, self.times, self.is_whole, self.body = "", 0, [], [], False, None
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            self._read_events(len(raw) - len(rest), raw, parts)
        else:
            self.body = rest.decode("utf-8", "replace")

    def _read_events(self, at, raw, parts):
        ends, total = [], 0
        for _, data in parts:
            total += len(data)
            ends.append(total)
        for end, event in events_of(raw, at, self.headers.get("transfer-encoding") == "chunked"):
            if event == b"[DONE]":
                self.is_whole = True
                continue
            value = json.loads(event)
            if "error" in value:
                self.error = value["error"]
                continue
            if value.get("usage"):
                self.tokens = value["usage"]["completion_tokens"]
            for choice in value.get("choices") or []:
                if choice.get("text"):
                    self.text += choice["text"]
                    self.times.append(parts[bisect.bisect_left(ends, end)][0])
                if choice.get("logprobs"):
                    self.logprobs += choice["logprobs"].get("token_logprobs") or []

    @property
    def first_s(self):
        return self.times[0] - self.begun if self.times else None

    def gaps(self):
        """Seconds between events that came one after the other."""
        return [after - before for before, after in zip(self.times, self.times[1:]) if after > before]


def events_of(raw, at, is_chunked):
    """(where it ends in raw, data) of each event behind the head."""
    body, places = bytearray(), []  # places: (length of body so far, end in raw)
    while is_chunked and at < len(raw):
        line = raw.find(b"\r\n", at)
        size = int(raw[at:line].split(b";")[0], 16) if line > at else 0
        if size == 0:
            break
        at = line + 2 + size
        body += raw[line + 2:at]
        places.append((len(body), min(at, len(raw))))
        at += 2
    if not is_chunked:
        body += raw[at:]
        places.append((len(body), len(raw)))
    bounds, at = [place for place, _ in places], 0
    while (end := body.find(b"\n\n", at)) >= 0:
        for line in bytes(body[at:end]).split(b"\n"):
            if line.startswith(b"data: "):
                yield places[bisect.bisect_left(bounds, end + 2)][1], line[6:]
        at = end + 2


async def ask(port, body, key=None, path="/v1/completions"):
    """One request; the connection ends with it."""
    text = json.dumps(body).encode()
    keys = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{keys}"
            f"Content-Length: {len(text)}\r\n\r\n")
    begun = time.perf_counter()
    transport, call = await asyncio.get_running_loop().create_connection(lambda: Call(head.encode() + text), "127.0.0.1", port)
    error = await call.over
    transport.close()
    return Answer(begun, call.parts, error)


async def ask_patiently(port, body, key=None):
    """The answer, and how often the server was full before it."""
    full = 0
    while (answer := await ask(port, body, key)).status == 429:
        full += 1
        await asyncio.sleep(float(answer.headers["retry-after"]))
    return answer, full


def percentile(values, share):
    """The smallest value that so many are not above; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
