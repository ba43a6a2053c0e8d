"""Press Ctrl-C (SIGINT) at random moments of long runs, and measure how long they take to stop.

    python tests/interrupt.py            twenty in a sweep of a million models, twenty in one model of (400, 30)
    python tests/interrupt.py --times 2

The first run in a folder of its own compiles the kernels; the interrupts fall into the training itself. POSIX only.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A process started in the background of a script would ignore Ctrl-C from the start.
HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
START = HEARD + f"import sys; sys.path.insert(0, {str(ROOT)!r}); import numpy as np; import minitms as tms\n"
RUNS = {
    "a million models": START + """
grid = np.geomspace(0.01, 1, 1000), np.geomspace(0.1, 10, 100)
tms.phase_diagram([0.1], [1.0], restarts=1, steps=10, seed=0)
print("training", flush=True)
tms.phase_diagram(*grid, seed=0, checkpoint=FOLDER)
""",
    "one model of (400, 30)": START + """
features = tms.SparseFeatures(400, 0.01)
tms.train(features, 30, steps=20, seed=0, learning_rate=1e-5)
print("training", flush=True)
tms.train(features, 30, steps=10**6, seed=0, checkpoint=FOLDER)
""",
}


def interrupt_once(code):
    """Start the run, interrupt it; the seconds until the message, until the process has ended, and the message."""
    with tempfile.TemporaryDirectory() as folder:
        code = code.replace("FOLDER", repr(str(Path(folder) / "run")))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", code], **pipes)
        guard = threading.Timer(60, process.kill)
        try:
            if process.stdout.readline().strip() != "training":
                raise SystemExit(process.communicate()[1])
            time.sleep(random.uniform(0.5, 4))
            begun = time.perf_counter()
            process.send_signal(signal.SIGINT)
            guard.start()
            message = ""
            for message in process.stderr:
                if message.startswith("KeyboardInterrupt"):
                    break
            answered = time.perf_counter() - begun
            process.communicate()
            return answered, time.perf_counter() - begun, message.strip()
        finally:
            guard.cancel()
            process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    args = parser.parse_args()
    slow = 0
    for name, code in RUNS.items():
        answers, ends = [], []
        for _ in range(args.times):
            answer, end, message = interrupt_once(code)
            if "KeyboardInterrupt: stopped" not in message or "run the same call again" not in message:
                raise SystemExit(f"{name}: unexpected end: {message}")
            answers.append(answer)
            ends.append(end)
        print(f"{name}: {args.times} interrupts answered after {max(answers):.2f} s at worst, "
              f"{statistics.median(answers):.2f} s in the middle; the process gone after {max(ends):.2f} s at worst, "
              f"{statistics.median(ends):.2f} s in the middle", flush=True)  # fmt: skip
        slow += max(answers) > 0.5
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
