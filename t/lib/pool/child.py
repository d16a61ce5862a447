# child.py - a pool child for the tests: does what the payload asks for, in the plainest way.
#
# {"do": "echo" | "fail" | "snooze" | "steps" | "sleep" | "grow" | "exit" | "pid", ...}
import json
import os
import signal
import sys
import time

kept = []


def work(task, answer):
    p = task["payload"]
    do = p.get("do", "echo")
    if do == "fail":
        answer(error_class=p["class"], error_code=p["code"], message=p["message"])
        return
    if do == "snooze":
        answer(snooze=p["seconds"])
        return
    if do == "steps":
        for percent in range(0, 101, 25):
            answer(progress=percent, note="step %d" % percent)
    if do == "sleep":
        time.sleep(p["seconds"])
    if do == "grow":
        kept.append(bytearray(os.urandom(1 << 20)) * p["megabytes"])
    if do == "exit":
        print("going away", file=sys.stderr, flush=True)
        os._exit(p["status"])
    if do == "signal":
        os.kill(os.getpid(), p["signal"])
    answer(result={"pid": os.getpid(), "lease": task["lease"], "attempt": task["attempt"], "payload": p, "cwd": os.getcwd(),
                   "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1], "env": dict(os.environ),
                   "session": os.getsid(0)})


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
for line in sys.stdin.buffer:
    task = json.loads(line)

    def answer(**members):
        sys.stdout.write(json.dumps({"lease": task["lease"], **members}) + "\n")
        sys.stdout.flush()

    work(task, answer)
print("no more tasks", file=sys.stderr)
