"""hub_server.py - a small hub on this machine: repositories, ranges, redirects, and every fault that a download meets."""
import hashlib
import http.server
import json
import threading
import urllib.parse


class Hub:
    """files: {"ORG/REPO": {name: bytes}}. Faults are set by the tests, by name of file."""

    def __init__(self):
        self.files = {}
        self.seen = []        # (method, path, headers) of each request
        self.status = {}      # path's end: (status, headers), once for each entry of the list
        self.break_after = {}  # name: bytes after which the connection ends, a list: one for each answer
        self.hold_after = {}  # name: bytes after which nothing more comes until release(), a number
        self.released = threading.Event()
        self.lie_bytes = {}   # name: what the list says
        self.lie_length = {}  # name: what Content-Length says
        self.sends = {}       # name: other bytes than the list's checksum is of
        self.no_length = set()
        self.lie_first = {}   # name: where a range is said to begin
        self.sent_bytes = 0   # of files
        self.no_ranges = False
        self.no_etag = False
        self.etags = {}
        self.lfs = True
        self.elsewhere = None  # URL of another server that has the bytes
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def release(self):
        """What was held comes, and nothing is held any more."""
        self.hold_after = {}
        self.released.set()

    def close(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()

    def asked(self, name):
        return [headers for path, headers in self.seen if path.split("?")[0].endswith(name)]

    def handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *unused):
                pass

            def answer(self, status, headers=(), body=b""):
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                path = urllib.parse.unquote(self.path.split("?")[0])
                hub.seen.append((path, dict(self.headers)))
                for end, answers in hub.status.items():
                    if path.endswith(end) and answers:
                        status, headers = answers.pop(0)
                        return self.answer(status, headers)
                if path.startswith("/api/models/"):
                    return self.list(path[len("/api/models/"):])
                words = path.strip("/").split("/")
                if len(words) > 4 and words[2] == "resolve":
                    return self.file("/".join(words[:2]), "/".join(words[4:]))
                if words[0] == "bytes":
                    return self.file("/".join(words[1:3]), "/".join(words[3:]), is_elsewhere=True)
                return self.answer(404, {"X-Error-Message": "Entry not found"})

            def list(self, repository):
                if repository not in hub.files:
                    return self.answer(404, {"X-Error-Message": "Repository not found"})
                siblings = []
                for name, data in hub.files[repository].items():
                    entry = {"rfilename": name, "size": hub.lie_bytes.get(name, len(data))}
                    if hub.lfs:
                        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                    siblings.append(entry)
                return self.answer(200, {}, json.dumps({"id": repository, "sha": "a" * 40, "siblings": siblings}).encode())

            def file(self, repository, name, is_elsewhere=False):
                data = hub.files.get(repository, {}).get(name)
                if data is None:
                    return self.answer(404, {"X-Error-Message": "Entry not found"})
                if hub.elsewhere and not is_elsewhere:
                    path = urllib.parse.quote(f"/bytes/{repository}/{name}")
                    return self.answer(302, {"Location": hub.elsewhere + path, "X-Linked-Size": str(len(data)),
                                             "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"'})
                return self.send(name, hub.sends.get(name, data))

            def send(self, name, data):
                etag = hub.etags[name] if name in hub.etags else '"' + hashlib.md5(data).hexdigest() + '"'
                first, end = 0, len(data)
                wanted = self.headers.get("Range")
                if wanted and not hub.no_ranges and self.headers.get("If-Range", etag) == etag:
                    start, _, stop = wanted[len("bytes="):].partition("-")
                    first, end = int(start), min(int(stop) + 1, end) if stop else end
                    if first >= len(data):
                        return self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {hub.lie_first.get(name, first)}-{end - 1}/{len(data)}")
                else:
                    self.send_response(200)
                if not hub.no_etag:
                    self.send_header("ETag", etag)
                if name in hub.no_length:
                    self.close_connection = True
                else:
                    self.send_header("Content-Length", str(hub.lie_length.get(name, end - first)))
                self.end_headers()
                breaks = hub.break_after.get(name)
                if breaks:
                    end = min(end, first + breaks.pop(0))
                    self.close_connection = True
                try:
                    for at in range(first, end, 65536):
                        if at - first >= hub.hold_after.get(name, end):
                            hub.released.wait()
                        self.wfile.write(data[at:min(at + 65536, end)])
                        hub.sent_bytes += min(at + 65536, end) - at
                except OSError:
                    self.close_connection = True
                if name in hub.lie_length:
                    self.close_connection = True

        return Handler
