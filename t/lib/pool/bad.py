# bad.py - pool children that do what they must not.  bad.py KIND DIRECTORY
import json
import os
import signal
import sys
import time

kind, where = sys.argv[1:3]
out = sys.stdout.buffer


def write(data):
    out.write(data)
    out.flush()


def answer(task, **members):
    write(json.dumps({"lease": task["lease"], **members}).encode() + b"\n")


def forever():
    while True:
        time.sleep(60)


def note(name, text):
    with open(os.path.join(where, name), "a") as f:
        f.write(text + "\n")


note(kind + ".starts", str(os.getpid()))
if kind == "early" and not os.path.exists(os.path.join(where, "mended")):
    print("no module named work", file=sys.stderr, flush=True)
    os._exit(3)
if kind == "deaf":
    os.close(0)
    forever()
if kind == "unasked":
    time.sleep(0.2)
    write(b'{"lease": "?", "result": 1}\n')
if kind == "slow":
    time.sleep(1.5)
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

for line in sys.stdin.buffer:
    task = json.loads(line)
    if kind == "silent":
        forever()
    elif kind == "gigabyte":
        for _ in range(1 << 10):
            write(b"x" * (1 << 20))
    elif kind == "babble":
        while True:
            write(b"something else\n" * 1000)
    elif kind == "utf8":
        write(b'{"lease": "' + task["lease"].encode() + b'", "result": "\xff\xfe"}\n')
    elif kind == "large":
        answer(task, result="x" * 66000)
    elif kind == "lease":
        write(b'{"lease": "' + b"0" * 48 + b'", "result": 1}\n')
    elif kind == "both":
        answer(task, result=1, error_class="TRANSIENT")
    elif kind == "nothing":
        answer(task)
    elif kind == "percent":
        answer(task, progress=101)
    elif kind == "mute":
        os.close(1)
        forever()
    elif kind == "twice":
        answer(task, result=1)
        answer(task, result=2)
    elif kind == "fork":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                note("fork.pid", str(os.getpid()))
                forever()
            os._exit(0)
        path = os.path.join(where, "fork.pid")
        while not os.path.exists(path) or os.path.getsize(path) == 0:  # told whole, before everybody is ended
            time.sleep(0.01)
        os._exit(0)
    elif kind == "stubborn":
        note("stubborn.pid", str(os.getpid()))
        forever()
    elif kind == "exit":
        print("first line\nthe data is bad", file=sys.stderr, flush=True)
        os._exit(65)
    elif kind == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
        forever()
    elif kind == "loud":
        for i in range(20000):
            print("line %d \udcff" % i, file=sys.stderr)
        answer(task, result="done")
    else:
        answer(task, result={"pid": os.getpid()})
