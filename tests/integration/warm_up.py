#!/usr/bin/env python3
"""warm_up.py - a run begins with the experts that the last one of the same model kept, and its text stays the same."""
import glob
import os
import tempfile

from harness import DEMO, check, weir_json

ASK = ["run", DEMO, "--mem", "40M", "--temp", "0", "-p", "The old man", "-n", "60"]


def main():
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        first = weir_json(*ASK)
        check(first["warm_up_reads"] == 0, f"the first run knows nothing: {first['warm_up_reads']} experts read")
        files = glob.glob(os.path.join(cache, "weir", "experts-*"))
        check(len(files) == 1, f"one file is kept, found {files}")
        second = weir_json(*ASK)
        check(second["warm_up_reads"] > 0, "the second run fills empty slots")
        check(second["ids"] == first["ids"], "the text is the same")
        check(second["peak_bytes"] <= second["budget_bytes"], f"peak {second['peak_bytes']} of {second['budget_bytes']}")
        kept = open(files[0]).read()
        cold = weir_json(*ASK, "--no-warm-up")
        check(cold["warm_up_reads"] == 0, "--no-warm-up reads nothing early")
        check(open(files[0]).read() == kept, "--no-warm-up keeps nothing")
        for wrong in ("", "something else\n", kept.splitlines()[0] + "\n4294967295 4294967295\n7 -1\n1 x\n"):
            with open(files[0], "w") as file:
                file.write(wrong)
            found = weir_json(*ASK)
            check(found["warm_up_reads"] == 0 and found["ids"] == first["ids"], f"{wrong!r} is passed over")
        measured = weir_json("bench", DEMO, "--mem", "40M", "--prompt", "8", "--gen", "8", "--repeat", "1")
        check(measured["warm_up_reads"] == 0, "what is measured begins anew")


main()
