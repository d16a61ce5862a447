# pool.py - a pool child for a storm: python3 pool.py DIRECTORY.  Taskq::Acts says what acts are and what the journal holds.
import json
import os
import signal
import sys
import time

where = sys.argv[1]
failures = {
    "transient": {"error_class": "TRANSIENT", "error_code": "STORM", "message": "once more"},
    "persistent": {"error_class": "PERSISTENT", "error_code": "STORM"},
    "limited": {"error_class": "RATE_LIMITED", "error_code": "STORM", "retry_after": 0.05},
    "bad": {"error_class": "NON_RETRYABLE", "error_code": "BAD", "message": "never"},
    "unknown": {"error_class": "COLOURFUL", "message": "what is that"},
    "snooze": {"snooze": 0.03},
}


def append(name, text):
    fd = os.open(os.path.join(where, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(fd, text.encode())
    size = os.fstat(fd).st_size
    os.close(fd)
    return size


def note(sign, *words):
    append("journal", " ".join([sign, "%.6f" % time.monotonic(), *map(str, words)]) + "\n")


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


for line in sys.stdin.buffer:
    task = json.loads(line)
    lease = task["lease"]
    n = append("starts." + task["message_id"], ".")
    acts = task["payload"]["acts"].split()
    act, ms = acts[min(n, len(acts)) - 1].split(":")
    note("+", lease, "pool", task["attempt"], task["max_attempts"], act)
    say(json.dumps({"lease": lease, "progress": 50, "note": act}))
    time.sleep(int(ms) / 1000)
    note("-", lease)
    if act == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "garbage":
        say("no JSON")
    elif act == "ok":
        say(json.dumps({"lease": lease, "result": {"ran": lease}}))
    else:
        say(json.dumps({"lease": lease, **failures[act]}))
