# ahead.py - pool children that are written ahead to.  ahead.py KIND DIRECTORY
#
# The first child of a kind reads as many tasks as its kind wants before it does anything, so that what it then does happens with all of
# them in its hands; those that follow it answer one after the other.
import json
import os
import signal
import sys
import time

kind, where = sys.argv[1:3]


def note(name, text):
    with open(os.path.join(where, name), "a") as f:
        f.write(text + "\n")


def wait_for(name):
    while not os.path.exists(os.path.join(where, name)):
        time.sleep(0.01)


def read():
    line = sys.stdin.buffer.readline()
    return json.loads(line) if line else None


def write(**members):
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


def answer(task):
    write(lease=task["lease"], result={"pid": os.getpid(), "n": task["payload"]["n"]})


def take(count):
    tasks = [read() for _ in range(count)]
    note(kind + ".has", " ".join(str(t["payload"]["n"]) for t in tasks))
    return tasks


def forever():
    while True:
        time.sleep(60)


signal.signal(signal.SIGTERM, signal.SIG_DFL)
first = not os.path.exists(os.path.join(where, kind + ".starts"))
note(kind + ".starts", str(os.getpid()))
if first and kind == "reverse":
    for t in reversed(take(6)):
        answer(t)
elif first and kind in ("exit", "signal"):
    tasks = take(6)
    answer(tasks[0])
    answer(tasks[1])
    if kind == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)
elif first and kind == "hang":
    take(4)
    forever()
elif first and kind == "stray":
    take(4)
    write(lease="0" * 48, result=1)
    forever()
elif first and kind == "percent":
    tasks = take(4)
    write(lease=tasks[2]["lease"], progress=101)
    forever()
elif first and kind == "told":
    tasks = take(4)
    write(lease=tasks[1]["lease"], progress=10)
    os._exit(3)
elif first and kind == "cancel":
    tasks = take(3)
    wait_for("cancel.go")
    answer(tasks[0])
    forever()
elif first and kind == "drain":
    tasks = take(4)
    wait_for("drain.go")
    for t in tasks:
        answer(t)
while (t := read()) is not None:
    time.sleep(t["payload"].get("seconds", 0))
    answer(t)
