#!/usr/bin/env python3
"""browser.py - the page of weir serve in headless Chromium: what a user does with it, by mouse and by keys alone.

It sends, watches text grow, stops, retries, edits, goes between branches, sets what is sampled, drops files, watches the map
of experts, reloads; loses the server, its key and the room in the browser. axe finds nothing in light and dark, wide and
narrow; no request goes elsewhere, nothing breaks the policy, and the console stays empty. Runs where Chromium and its driver
are installed, and in `./run-tests long`, which installs them.

    tests/integration/browser.py --pictures FOLDER     pictures of the page, for people to look at
    tests/integration/browser.py --picture docs/page.png    README's
"""
import base64
import json
import os
import re
import shutil
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import make_long_demo
from harness import DEMO, LONG, check, remove, scratch_folder, skip, use_package
from serve import TEMPLATE, Server

WAIT_S = 120
KEY = "a-key-of-sixteen-characters"
WIDE, NARROW = (1280, 800), (390, 844)
LIMIT = 100  # tokens, of most answers
SLOW = 3000  # bytes a second, where an answer has to take its time
WATCH = """
window.faults = [];
addEventListener("securitypolicyviolation", event => faults.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
addEventListener("error", event => faults.push(`error: ${event.message}`));
addEventListener("unhandledrejection", event => faults.push(`rejection: ${event.reason}`));
"""
HOSTILE = """# A <script>document.title = 'taken'</script>
<img src=x onerror="document.title = 'taken'"> ![p](https://elsewhere.example/p.png) [a](javascript:document.title='taken')
[b](data:text/html,x) [c](https://elsewhere.example/?a="onclick=x) <iframe src="https://elsewhere.example">

```html"onclick="x
<script>document.title = 'taken'</script>
```
"""
SHOWN = """A **weir** keeps the water of a river high, and lets through what is wanted. The experts of a model are much the same:

| river | length in km | flows into |
|---|--:|---|
| Rhine | 1,233 | North Sea |
| Danube | 2,850 | Black Sea |
| Loire | 1,006 | Atlantic |

The same as a list, made by a few lines of Python:

```python
rivers = {"Rhine": 1233, "Danube": 2850, "Loire": 1006}
for name, length in sorted(rivers.items(), key=lambda item: -item[1]):
    print(f"{name:<8}{length:>6} km")
```

- The **Danube** is the longest of the three.
- All of them have weirs: `len(weirs) > 3` for each.
"""


def find_chromium():
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if None in found:
        skip("no Chromium with its driver here; ./run-tests long installs it")
    return found


class Browser:
    """Chromium at the page of a server, and what it asked of whom."""

    def __init__(self, folder, server):
        from selenium import webdriver
        chromium, driver = find_chromium()
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--lang=en",
                         "--disable-background-networking", "--no-first-run", f"--user-data-dir={os.path.join(folder, 'profile')}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        self.driver.set_page_load_timeout(WAIT_S)
        self.driver.set_script_timeout(WAIT_S)
        self.requests = []
        self.tell("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.be(WIDE, "light")
        self.open(server)

    def open(self, server):
        self.url = f"http://127.0.0.1:{server.port}/"
        self.driver.get(self.url)

    def tell(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def be(self, size, scheme):
        self.tell("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size is NARROW)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def slow_down(self, bytes_per_s):
        """-1: as fast as it goes."""
        self.tell("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=bytes_per_s, uploadThroughput=-1)

    def read(self, expression, *arguments):
        return self.driver.execute_script(f"return {expression}", *arguments)

    def text(self, selector):
        return self.read("document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        self.find(selector).click()

    def wait(self, look, sentence):
        """What look gives, once that is something."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.05)
        check(False, f"{sentence}; the page says: {self.read('document.body.innerText')[-800:]}")

    def messages(self):
        """Role, text and note of each."""
        return self.read("""[...document.querySelectorAll("#messages > li")].map(item => [item.className.split(" ")[0],
            item.querySelector(".body > .text, .body > .plain")?.textContent ?? "", item.querySelector(".note")?.textContent ?? ""])""")

    def is_running(self):
        return self.text("#send") == "Stop"

    def wait_whole(self):
        self.wait(lambda: not self.is_running(), "the answer does not end")
        return self.messages()[-1]

    def ask(self, text):
        """Sends a text; the answer is on its way then, or over."""
        from selenium.webdriver.common.keys import Keys
        count = len(self.messages())
        self.find("#text").send_keys(text, Keys.ENTER)
        self.wait(lambda: len(self.messages()) == count + 2, "nothing is sent")

    def log(self, kind):
        return self.driver.get_log(kind)

    def note_requests(self):
        """Adds what was asked since the last time; every request goes to the server of the page."""
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                request = message["params"]["request"]
                self.requests.append(request)
                address = urllib.parse.urlsplit(request["url"])
                check(address.hostname == "127.0.0.1" or address.scheme in ("chrome", "data", "blob"), f"a request to elsewhere: {request['url']}")
        return self.requests

    def chats(self):
        """The bodies of all requests for an answer so far."""
        return [json.loads(request["postData"]) for request in self.note_requests() if request["url"].endswith("/v1/chat/completions")]

    def has_no_fault(self, expected=()):
        """Neither the page, nor its console, nor its policy complains; `expected`: words of what a part provoked."""
        self.note_requests()
        check(self.read("faults") == [], f"the page: {self.read('faults')}")
        told = [entry for entry in self.log("browser") if not any(word in entry["message"] for word in expected)]
        check(told == [], f"the console: {told}")

    def press(self, *keys, shift=False):
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys
        chain = ActionChains(self.driver)
        if shift:
            chain.key_down(Keys.SHIFT)
        chain.send_keys(*keys)
        if shift:
            chain.key_up(Keys.SHIFT)
        chain.perform()

    def focused(self):
        return self.read("document.activeElement.id || document.activeElement.getAttribute('aria-label') || document.activeElement.tagName")

    def tab_to(self, wanted, back=False):
        """By the tabulator alone, as far as all that can be reached."""
        from selenium.webdriver.common.keys import Keys
        for _ in range(80):
            if self.focused() == wanted:
                return
            self.press(Keys.TAB, shift=back)
        check(False, f"the tabulator does not come to {wanted}, it is at {self.focused()}")

    def show_panel(self, opener):
        """Where the page is narrow a panel has to be opened."""
        if self.find(opener).is_displayed() and self.find(opener).get_attribute("aria-expanded") == "false":
            self.click(opener)

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))

    def keep(self, text, title="Rivers"):
        """A conversation with this answer, as if it had been written."""
        self.driver.execute_script("""
            const [text, title] = arguments;
            const node = (id, parent, role, text) => ({ id, parent, role, text, reasoning: "", files: [], note: "", stats: "" });
            const nodes = { q: node("q", "root", "user", "What is a weir? And which rivers are long?"), a: node("a", "q", "assistant", text) };
            nodes.a.reasoning = "The user wants a table, I think.";
            nodes.a.stats = "183 tokens · 9.4 tokens/s · first after 0.62 s · 31 before them";
            localStorage.setItem("weir.thread.kept", JSON.stringify({ id: "kept", title, system: "", nodes, chosen: { root: "q", q: "a" } }));
            const others = JSON.parse(localStorage.getItem("weir.threads") ?? "[]");
            localStorage.setItem("weir.threads", JSON.stringify([{ id: "kept", title }, ...others]));""", text, title)
        self.driver.refresh()
        self.wait(lambda: len(self.messages()) == 2, "a conversation that was kept is not shown")


# ---- what a user does ------------------------------------------------------------------------


def set_limit(page, tokens):
    """How long answers may be; "": as long as they get."""
    page.click("#show-settings")
    page.find("[data-field=max_tokens]").clear()
    page.find("[data-field=max_tokens]").send_keys(str(tokens))
    page.click("#close-settings")
    check(not page.find("#settings").is_displayed(), "settings that are right are taken")


def begin_part(page):
    page.wait(lambda: "demo" in page.text("#model"), "the page does not say which model answers")
    check(page.find("#empty").is_displayed() and not page.find("#alert").is_displayed(), "an empty page says how to begin")
    page.click("#ideas button")
    check(page.find("#text").get_property("value") != "" and page.focused() == "text", "an idea comes into the message field")
    page.find("#text").clear()
    set_limit(page, LIMIT)


def stream_part(page):
    """The text grows between two looks, and so do the numbers beside it."""
    set_limit(page, 4 * LIMIT)
    page.slow_down(SLOW)
    page.ask("The old man and the sea")
    lengths, maps, was_seen = set(), set(), False

    def look():
        nonlocal was_seen
        lengths.add(len(page.messages()[-1][1]))
        maps.add(page.read("document.getElementById('map').toDataURL()"))
        was_seen |= page.is_running() and len(lengths) > 3
        return was_seen and len(maps) > 2
    page.wait(look, "no text grows, or the map of experts stays as it is")
    page.slow_down(-1)
    role, text, _ = page.wait_whole()
    set_limit(page, LIMIT)
    check(role == "assistant" and text != "", "the answer is there")
    stats = page.text("#messages > li:last-child .stats")
    check(re.search(r"^\d+ tokens · [\d.]+ tokens/s · first after [\d.]+ s · \d+ before them", stats), f"what an answer took: {stats!r}")
    page.wait(lambda: float(page.text("#tokens-per-s")) > 0 and page.text("#first-token").endswith(" s"), "the machine shows no speed")
    check(page.text("#hit-rate").endswith("%") and "MB/s" in page.text("#disk") and " of " in page.text("#memory"), "the machine's numbers")
    check(re.search(r"12 layers with 384 experts in all: [1-9]\d* in memory", page.text("#map-text")), f"the map: {page.text('#map-text')}")
    check(page.find("#map").is_displayed() and 0 < page.find("#memory-meter").get_property("value") <= 1, "memory against the ceiling")


def branches_part(page):
    page.ask("Once upon a time")
    first = page.wait_whole()[1]
    page.click("#messages > li:last-child [aria-label^=Retry]")
    page.wait(lambda: page.text("#messages > li:last-child .tools .count") == "2 of 2", "a retry is another version")
    second = page.wait_whole()[1]
    check(first != second, "another answer is another text")
    page.click("#messages > li:last-child [aria-label='Earlier version']")
    check(page.messages()[-1][1] == first, "the earlier version is the earlier text")
    page.click("#messages > li:last-child [aria-label='Later version']")
    check(page.messages()[-1][1] == second, "and the later one the later")
    count = len(page.messages())
    page.click(f"#messages > li:nth-child({count - 1}) [aria-label^=Edit]")
    field = page.find("#messages textarea")
    field.clear()
    field.send_keys("Twice upon a time")
    page.click("#messages form [type=submit]")
    page.wait(lambda: page.messages()[-2][1] == "Twice upon a time", "an edit is sent")
    page.wait_whole()
    check(page.chats()[-1]["messages"][-1]["content"] == "Twice upon a time", "the request has the edited text")
    check(page.text(f"#messages > li:nth-child({count - 1}) .tools .count") == "2 of 2", "an edit is another version")
    page.click(f"#messages > li:nth-child({count - 1}) [aria-label='Earlier version']")
    check([one[1] for one in page.messages()[-2:]] == ["Once upon a time", second], "the branch before the edit is whole")


def stop_part(page, server):
    """The server has stopped too, long before the text would have ended."""
    page.click("#new-thread")
    set_limit(page, "")
    left = server.metric("requests_left_total")
    page.ask("Stop me")
    page.wait(lambda: page.messages()[-1][1] != "", "no text comes")
    check(page.is_running(), "an answer that is written can be stopped")
    page.click("#send")
    page.wait(lambda: page.messages()[-1][2] == "Stopped.", "a stopped answer does not say so")
    text = page.messages()[-1][1]
    server.wait_for("texts_running", lambda count: count == 0)
    server.wait_for("requests_left_total", lambda count: count == left + 1)
    check(page.messages()[-1][1] == text and text != "", "what was written before it was stopped stays")
    set_limit(page, LIMIT)


def settings_part(page):
    def fill(name, value):
        field = page.find(f"[data-field={name}]")
        field.clear()
        field.send_keys(value)

    page.click("#show-settings")
    page.find("#system").send_keys("Answer in one word.")
    fill("temperature", "0")
    fill("max_tokens", "0")
    page.click("#close-settings")
    check(page.find("#settings").is_displayed() and "Most tokens" in page.text("#settings-alert"), "a wrong setting is told")
    fill("max_tokens", "3")
    page.click("#close-settings")
    check(not page.find("#settings").is_displayed() and page.text("#show-settings") == "Settings (3 set)", "settings are set")
    page.ask("In the morning")
    note = page.wait_whole()[2]
    body = page.chats()[-1]
    check(body["temperature"] == 0 and body["max_tokens"] == 3 and body["stream"], f"the request has the settings: {body}")
    check(body["messages"][0] == {"role": "system", "content": "Answer in one word."}, f"the request has the system prompt: {body}")
    check("most tokens" in note, f"an answer that ends at its limit says so: {note!r}")


def tokens_part(page):
    """A text's tokens with their ids; of an answer its prompt, request, events, and what else each token might have been."""
    page.click("#show-tokens")
    page.find("#tokens-text").clear()
    page.find("#tokens-text").send_keys("The old man")
    page.wait(lambda: page.text("#tokens-count").endswith("of 11 characters"), "a text's tokens are not counted")
    pieces = page.read("[...document.querySelectorAll('#tokens-list li')].map(item => [...item.children].map(part => part.textContent))")
    check("".join(piece for piece, _ in pieces).replace("·", " ").lstrip() == "The old man", f"the tokens spell the text: {pieces}")
    check(all(number.strip().isdigit() for _, number in pieces), f"each has its id: {pieces}")
    page.click("#close-tokens")
    page.click("#show-settings")
    page.find("[data-field=top_logprobs]").send_keys("5")
    page.click("#close-settings")
    page.ask("The sea")
    page.wait_whole()
    check(page.chats()[-1]["logprobs"] is True and page.chats()[-1]["top_logprobs"] == 5, "alternatives are asked for")
    page.click("#messages > li:last-child [aria-label^=Inspect]")
    page.wait(lambda: page.text("#inspector-count") != "", "the prompt is not told")
    page.driver.execute_script("document.querySelectorAll('#inspector details').forEach(one => one.open = true)")
    check("The sea" in page.text("#inspector-prompt") and "assistant" in page.text("#inspector-prompt"), "the prompt behind the template")
    rows = page.read("[...document.querySelectorAll('#inspector-rows tr')].map(row => [...row.children].map(part => part.textContent))")
    check(0 < len(rows) <= LIMIT and all(row[1].endswith("%") and row[2].count("%") == 5 for row in rows), f"what each might have been: {rows}")
    check(json.loads(page.text("#inspector-body")) == page.chats()[-1], "the request's body")
    check('"usage"' in page.text("#inspector-events"), "the events")
    page.click("#close-inspector")
    page.click("#show-settings")
    page.find("[data-field=top_logprobs]").send_keys("not")
    page.click("#close-settings")


def files_part(page, folder):
    path = os.path.join(folder, "chosen.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("of the chosen file")
    page.find("#attach-files").send_keys(path)
    page.wait(lambda: "chosen.txt" in page.text("#files"), "a chosen file is shown")
    page.driver.execute_script("""
        const data = new DataTransfer();
        data.items.add(new File(["of the dropped file"], "dropped.txt"));
        data.items.add(new File([new Uint8Array([255, 254, 0])], "picture.bin"));
        data.items.add(new File([new Uint8Array(2 << 20)], "large.txt"));
        for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));""")
    page.wait(lambda: "dropped.txt" in page.text("#files"), "a dropped file is shown")
    alert = page.text("#alert")
    check("picture.bin: wanted a text" in alert and "large.txt: wanted at most 1 MiB" in alert, f"what is no text is told: {alert}")
    page.click("[aria-label='Remove chosen.txt']")
    page.ask("What is in it?")
    page.wait_whole()
    content = page.chats()[-1]["messages"][-1]["content"]
    check("of the dropped file" in content and "What is in it?" in content and "chosen" not in content, f"the request: {content!r}")
    check(page.text("#messages .file summary") == "File dropped.txt", "the message shows its file")


def keys_part(page):
    """From the beginning of the page on, without a mouse."""
    from selenium.webdriver.common.keys import Keys
    page.driver.refresh()
    page.wait(lambda: "demo" in page.text("#model"), "the page does not come back")
    page.press(Keys.TAB)
    check(page.read("document.activeElement.className") == "skip", "the first stop leads to the message field")
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused() == "text", "the first link leads to the message field")
    page.tab_to("new-thread", back=True)
    page.press(Keys.ENTER)
    check(page.focused() == "text" and page.messages() == [], "a new conversation begins in the message field")
    page.tab_to("show-settings")
    page.press(Keys.ENTER)
    page.tab_to("reset-settings")
    page.press(Keys.ENTER)
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.focused() == "show-settings", "who closes the settings is where they were opened")
    check(page.text("#show-settings") == "Settings", "all settings are empty again")
    set_limit(page, "")
    page.tab_to("text", back=True)
    page.slow_down(SLOW)
    page.press("Two lines")
    page.press(Keys.ENTER, shift=True)
    page.press("in one", Keys.ENTER)
    page.wait(lambda: len(page.messages()) == 2, "Enter sends")
    check(page.messages()[0][1] == "Two lines\nin one", "Shift and Enter begin a line")
    page.wait(lambda: page.messages()[-1][1] != "", "no text comes")
    page.press(Keys.ESCAPE)
    page.wait(lambda: page.messages()[-1][2] == "Stopped.", "Escape stops the answer")
    page.slow_down(-1)
    check(page.focused() == "text", "who stops an answer stays in the message field")
    set_limit(page, LIMIT)
    page.tab_to("Retry: write this answer again", back=True)
    page.press(Keys.ENTER)
    page.wait(lambda: page.text("#messages > li:last-child .tools .count") == "2 of 2", "a retry by keys")
    page.wait_whole()
    check(page.focused() == "Retry: write this answer again", f"who retries stays there: {page.focused()}")
    page.tab_to("Earlier version", back=True)
    page.press(Keys.ENTER)
    check(page.text("#messages > li:last-child .tools .count") == "1 of 2" and page.focused() == "Later version", "versions by keys")
    page.tab_to("Edit this message", back=True)
    page.press(Keys.ENTER)
    check(page.focused() == "Edited message", "an edit begins in its field")
    page.press(Keys.ESCAPE)
    check(page.focused() == "Edit this message", "an edit that is left ends where it began")


def history_part(page):
    """Nothing is lost by a reload: neither conversations, nor the version that was shown."""
    before, titles = page.messages(), page.read("[...document.querySelectorAll('#threads .thread')].map(one => one.textContent)")
    page.driver.refresh()
    page.wait(lambda: page.messages() == before, "the conversation is as it was before the page was loaded again")
    check(page.read("[...document.querySelectorAll('#threads .thread')].map(one => one.textContent)") == titles ==
          ["Two lines", "Stop me", "The old man and the sea"], f"conversations: {titles}")
    page.click("#threads li:nth-child(3) .thread")
    check(page.messages()[0][1] == "The old man and the sea" and len(page.messages()) > 4, "another conversation is opened")
    page.click("#threads li:first-child .quiet")
    page.driver.switch_to.alert.accept()
    page.wait(lambda: page.read("document.querySelectorAll('#threads li').length") == 2, "a conversation is deleted")
    set_limit(page, "")
    page.slow_down(SLOW)
    page.ask("A house")
    page.wait(lambda: page.messages()[-1][1] != "", "no text comes")
    page.driver.refresh()
    page.slow_down(-1)
    page.wait(lambda: page.messages(), "the page does not come back")
    check(page.messages()[-2][1] == "A house" and page.messages()[-1][1] != "" and "before this answer was whole" in page.messages()[-1][2],
          f"an answer that was cut is kept as far as it came: {page.messages()[-1]}")
    set_limit(page, LIMIT)


def markdown_part(page):
    page.keep(HOSTILE, "Hostile")
    found = page.read("""({ title: document.title, made: document.querySelectorAll("#messages script, #messages img, #messages iframe").length,
        links: [...document.querySelectorAll("#messages a")].map(one => [one.href, one.rel]),
        handlers: [...document.querySelectorAll("#messages *")].filter(one => [...one.attributes].some(name => name.name.startsWith("on"))).length })""")
    check(found["made"] == found["handlers"] == 0 and "taken" not in found["title"], f"a hostile answer: {found}")
    check(all(link.startswith("https://") and "noopener" in rel for link, rel in found["links"]) and found["links"], f"a hostile answer's links: {found}")
    page.keep(SHOWN)
    check(page.read("document.querySelectorAll('#messages td.right').length") == 3 and page.text("#messages .code span") == "python", "a table and code")
    page.driver.execute_script("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
    page.click("#messages .copy-code")
    page.wait(lambda: page.text("#messages .copy-code") == "Copied", "code is copied")
    check(page.read("window.copied").startswith("rivers = {") and page.read("window.copied").count("\n") == 2, "the code that was copied")
    check(not page.find(".reasoning .text").is_displayed(), "reasoning is folded")
    page.click(".reasoning summary")
    page.wait(lambda: "wants a table" in page.find(".reasoning .text").text, "reasoning is unfolded")


def long_text_part(page):
    """A long text is shown, and a page that shows it still answers."""
    page.keep("\n\n".join(f"Paragraph {index} of a *long* text, with `code`." for index in range(8000)), "Long")
    check(page.read("document.querySelectorAll('#messages .text > p').length") == 8000, "a text of 400 KB is there")
    set_limit(page, LIMIT)
    page.keep(SHOWN)


def narrow_part(page):
    """A phone: no column is beside the page, and panels open and close."""
    page.be(NARROW, "light")
    check(page.read("document.documentElement.scrollWidth") <= NARROW[0], "a phone's page is no wider than the phone")
    check(not page.find("#machine").is_displayed() and not page.find("#side").is_displayed(), "a phone shows one thing")
    for opener, panel in (("#show-machine", "#machine"), ("#show-side", "#side")):
        page.click(opener)
        check(page.find(panel).is_displayed() and page.find(opener).get_attribute("aria-expanded") == "true", f"{opener} opens {panel}")
        page.click(opener)
        check(not page.find(panel).is_displayed(), f"{opener} closes {panel}")
    page.be(WIDE, "light")


def axe_part(page, folder):
    """Automatic rules of accessibility, in all states that look different."""
    with open(os.path.join(folder, "axe_playwright_python", "axe.min.js"), encoding="utf-8") as file:
        rules = file.read()
    for size in (WIDE, NARROW):
        for scheme in ("light", "dark") if LONG else ("dark" if size is NARROW else "light",):
            page.be(size, scheme)
            for state in ("messages", "machine", "settings", "tokens", "inspector", "empty"):
                page.driver.refresh()
                page.wait(lambda: "demo" in page.text("#model") and page.text("#map-text") != "", "the page does not come back")
                if state == "messages":
                    page.click(".reasoning summary")
                if state == "machine":
                    page.show_panel("#show-machine")
                if state == "settings":
                    page.click("#show-settings")
                if state == "tokens":
                    page.find("#text").send_keys("The sea")
                    page.click("#show-tokens")
                    page.wait(lambda: page.text("#tokens-count") != "", "a text's tokens are not told")
                if state == "inspector":
                    page.click("#messages > li:last-child [aria-label^=Inspect]")
                    page.wait(lambda: page.text("#inspector-count") != "", "the prompt is not told")
                    page.driver.execute_script("document.querySelectorAll('#inspector details').forEach(one => one.open = true)")
                if state == "empty":
                    page.show_panel("#show-side")
                    page.click("#new-thread")
                page.driver.execute_script(rules)
                found = page.driver.execute_async_script("const done = arguments[0]; axe.run().then(done, error => done({violations: String(error)}))")
                check(found["violations"] == [] and len(found["passes"]) > 10, f"axe, {size} {scheme} {state}: {json.dumps(found['violations'])[:3000]}")
    page.be(WIDE, "light")


# ---- what goes wrong -------------------------------------------------------------------------


def full_part(page):
    """A browser without room for more: the answer comes all the same, and the user is told."""
    page.driver.refresh()
    page.driver.execute_script("""
        let block = "x".repeat(1 << 20);
        while (block !== "")
            try {
                localStorage.setItem(`fill.${localStorage.length}`, block);
            } catch {
                block = block.slice(0, block.length >> 1);
            }""")
    page.click("#new-thread")
    page.ask("He said that")
    check(page.wait_whole()[1] != "", "an answer without room to keep it")
    check("cannot be kept in this browser" in page.text("#alert"), f"the user is told: {page.text('#alert')}")
    page.driver.execute_script("Object.keys(localStorage).filter(name => name.startsWith('fill.')).forEach(name => localStorage.removeItem(name))")


def silence_part(page, server):
    """The server goes in the middle of an answer, and another one comes in its place."""
    page.click("#new-thread")
    set_limit(page, "")
    page.slow_down(SLOW)
    page.ask("Nobody knew")
    page.wait(lambda: page.messages()[-1][1] != "", "no text comes")
    server.process.kill()
    server.process.wait()
    page.slow_down(-1)
    page.wait(lambda: not page.is_running(), "an answer whose server is gone ends")
    note = page.messages()[-1][2]
    set_limit(page, LIMIT)
    check(note.startswith("It failed: the connection broke off") or "before it was whole" in note, f"what is said of it: {note!r}")
    page.wait(lambda: "does not answer" in page.text("#offline"), "that the server is gone is told")
    page.ask("Are you there?")
    page.wait(lambda: f"no server answers at 127.0.0.1:{server.port}" in page.messages()[-1][2], "a question that nobody hears")
    with Server(port=server.port):
        page.wait(lambda: page.text("#offline") == "", "a server that is back is seen")
        page.click("#messages > li:last-child [aria-label^=Retry]")
        page.wait(lambda: page.text("#messages > li:last-child .tools .count") == "2 of 2", "a retry is another version")
        check(page.wait_whole()[1] != "", "a server that is back answers")
    page.has_no_fault(["net::ERR", "Failed to load resource"])


def key_part(page, folder):
    path = os.path.join(folder, "keys")
    with open(path, "w") as file:
        file.write(KEY + "\n")
    with Server("--api-key-file", path) as server:
        page.open(server)
        for key, title in (("a-wrong-key", "wants a key"), (KEY, "does not know the key")):
            page.wait(lambda: page.find("#key-dialog").is_displayed() and title in page.text("#key-title"), f"the page asks for a key: {title}")
            page.find("#key").send_keys(key)
            page.click("#key-form [type=submit]")
        page.wait(lambda: "demo" in page.text("#model"), "the right key opens the server")
        page.wait(lambda: page.focused() == "text", "who gave the right key stands in the message field")
        set_limit(page, LIMIT)
        page.ask("The sea was")
        check(page.wait_whole()[1] != "", "an answer with a key")
        page.driver.refresh()
        page.wait(lambda: "demo" in page.text("#model"), "the key is kept while the tab is open")
        check(KEY not in page.read("JSON.stringify(localStorage)"), "a key is not kept longer than the tab")
    page.has_no_fault(["401", "net::ERR", "Failed to load resource"])


def no_key_part(page, folder):
    """Who gives no key is not asked again and again."""
    with Server("--api-key-file", os.path.join(folder, "keys")) as server:
        page.driver.execute_script("sessionStorage.clear()")
        page.open(server)
        page.wait(lambda: page.find("#key-dialog").is_displayed(), "the page asks for a key")
        page.click("#no-key")
        page.wait(lambda: page.find("#give-key").is_displayed(), "a key can be given later")
        check(not page.find("#key-dialog").is_displayed(), "and is not asked for again")
        page.click("#give-key")
        page.find("#key").send_keys(KEY)
        page.click("#key-form [type=submit]")
        page.wait(lambda: "demo" in page.text("#model") and page.text("#map-text") != "", "a key that is given later opens the server")


def models_part(page, folder):
    """Of several models the user chooses one, and a message says which one wrote it."""
    library = os.path.join(folder, "library")
    os.makedirs(library)
    for name in ("one", "two"):
        os.symlink(DEMO, os.path.join(library, f"{name}.gguf"))
    with Server("--models", library, model=()) as server:
        page.open(server)
        page.wait(lambda: page.find("#models").is_displayed(), "several models can be chosen between")
        page.driver.execute_script("""
            const choice = document.getElementById("models");
            choice.value = "two";
            choice.dispatchEvent(new Event("change"));""")
        set_limit(page, LIMIT)
        page.ask("The sea was")
        page.wait_whole()
        check(page.chats()[-1]["model"] == "two" and page.text("#messages > li:last-child > h3") == "two", "the chosen model answers")
        page.driver.refresh()
        page.wait(lambda: page.find("#models").is_displayed() and page.find("#models").get_property("value") == "two", "the choice is kept")
        page.wait(lambda: "qwen3moe" in page.text("#model"), "the model that is loaded is told")
    page.has_no_fault(["503", "401", "net::ERR", "Failed to load resource"])


def reasoning_part(page, folder):
    """What a model thinks is folded, can be seen, and ended. The demo model would think for ever."""
    template = os.path.join(folder, "thinks.jinja")
    with open(template, "w", encoding="ascii") as file:
        file.write(TEMPLATE)
    with Server(template=template) as server:
        page.open(server)
        page.wait(lambda: "demo" in page.text("#model"), "the page does not come")
        page.click("#show-settings")
        page.find("[data-field=reasoning_effort]").send_keys("high")
        page.click("#close-settings")
        page.ask("The sea was")
        page.wait(lambda: page.find("#messages .body > button").is_displayed(), "no reasoning comes")
        check(page.chats()[-1]["reasoning_effort"] == "high" and page.is_running(), "reasoning is asked for, and goes on")
        check(page.find(".reasoning").is_displayed() and not page.find(".reasoning .text").is_displayed(), "reasoning is folded")
        page.click("#messages .body > button")
        page.wait(lambda: page.messages()[-1][1] != "", "an answer comes when the reasoning is ended")
        check(not page.find("#messages .body > button").is_displayed(), "what is ended cannot be ended again")
        page.wait_whole()
    page.has_no_fault(["net::ERR", "Failed to load resource"])


# ---- pictures --------------------------------------------------------------------------------


def take_pictures(page, folder):
    """To look at: what is not asked here is whether they are beautiful."""
    os.makedirs(folder, exist_ok=True)
    for size, name in ((WIDE, "wide"), (NARROW, "narrow")):
        for scheme in ("light", "dark"):
            def take(state):
                page.picture(os.path.join(folder, f"{name}-{scheme}-{state}.png"))

            page.be(size, scheme)
            page.driver.execute_script("localStorage.clear()")
            page.driver.refresh()
            page.wait(lambda: "demo" in page.text("#model"), "the page does not come")
            take("empty")
            set_limit(page, 200)
            page.keep(SHOWN)
            take("table")
            page.slow_down(SLOW)
            page.ask("The old man and the sea")
            page.wait(lambda: len(page.messages()[-1][1]) > 300, "no text comes")
            take("middle")
            page.show_panel("#show-machine")
            time.sleep(0.5)
            take("map")
            page.slow_down(-1)
            page.wait_whole()
            page.driver.refresh()
            page.wait(lambda: "demo" in page.text("#model"), "the page does not come")
            page.click("#show-settings")
            take("settings")
            page.find("[data-field=top_logprobs]").send_keys("5")
            page.click("#close-settings")
            page.click("#new-thread") if size == WIDE else None
            page.ask("The old man and the sea")
            page.wait_whole()
            page.find("#text").send_keys("Which rivers are long? \u00c9t\u00e9 \U0001f980")
            page.click("#show-tokens")
            page.wait(lambda: page.text("#tokens-count") != "", "tokens are not told")
            take("tokens")
            page.click("#close-tokens")
            page.click("#messages > li:last-child [aria-label^=Inspect]")
            page.wait(lambda: page.text("#inspector-count") != "", "the prompt is not told")
            take("inspector")
            page.driver.execute_script("document.querySelectorAll('#inspector details').forEach((one, at) => one.open = at === 2)")
            take("alternatives")
            page.click("#close-inspector")


def take_picture(page, path):
    """In the middle of an answer, with fewer slots than experts, while the server writes."""
    page.be((1240, 700), "light")
    set_limit(page, 400)
    for question in ("The sea at night", "Tell a story of a lighthouse and its keeper"):
        page.click("#new-thread")
        page.ask(question)
        page.wait(lambda: len(page.messages()[-1][1]) > 400 and page.text("#tokens-per-s") not in ("–", "0.0"), "no text comes")
        page.picture(path)
        page.wait_whole()


def main():
    if not LONG and sys.argv[1:2] not in (["--pictures"], ["--picture"]):
        skip("a minute of Chromium: only ./run-tests long does")
    find_chromium()
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    use_package("selenium==4.40.0")
    axe = use_package("axe-playwright-python==0.1.8", "--no-deps")  # which carries the rules
    folder = scratch_folder()
    page = None
    try:
        if sys.argv[1:2] == ["--pictures"]:
            with Server("--parallel", 2, mem="114M") as server:
                page = Browser(folder, server)
                take_pictures(page, sys.argv[2])
            return
        if sys.argv[1:2] == ["--picture"]:
            with Server(mem="66M") as server:
                page = Browser(folder, server)
                page.wait(lambda: "demo" in page.text("#model"), "the page does not come")
                take_picture(page, sys.argv[2])
            return
        with Server(model=(make_long_demo(folder), "--alias", "demo")) as server:
            page = Browser(folder, server)
            begin_part(page)
            stream_part(page)
            branches_part(page)
            settings_part(page)
            tokens_part(page)
            files_part(page, folder)
            stop_part(page, server)
            keys_part(page)
            history_part(page)
            markdown_part(page)
            long_text_part(page)
            narrow_part(page)
            page.has_no_fault()
            axe_part(page, axe)
            full_part(page)
            page.has_no_fault()
            silence_part(page, server)
        key_part(page, folder)
        no_key_part(page, folder)
        models_part(page, folder)
        reasoning_part(page, folder)
        print(f"{len(page.note_requests())} requests, none of them to elsewhere")
    finally:
        if page is not None:
            page.driver.quit()
        remove(folder)


if __name__ == "__main__":
    main()
