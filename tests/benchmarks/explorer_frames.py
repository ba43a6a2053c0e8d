"""How long the explorer takes to draw: ``python tests/benchmarks/explorer_frames.py [--seconds 10]``.

Twelve features in headless Chromium, which draws by the processor alone. A screen of 60 Hz has 16.7 ms for a frame;
here frames follow one another as fast as they can, so that one sees what is left. Prints the median, the 95th
percentile and the worst of the times between two frames, in milliseconds, for each thing that moves.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser import chromium

MOVING = {
    "train, 8 restarts": """const t = tms.panels.train; t.n.set(12); t.steps.set("5000");
        const again = () => { if (t.training.done) t.restart(); }; t.restart(); setInterval(again, 50)""",
    "drag, downhill": """document.getElementById("tab-drag").click(); const d = tms.panels.drag;
        d.n.set(12); d.restart(); setInterval(() => { if (!d.descent) d.letGo(true); }, 50)""",
    "drag, by hand": """document.getElementById("tab-drag").click(); const d = tms.panels.drag;
        d.n.set(12); d.restart(); let angle = 0;
        const move = () => { angle += 0.02; d.held = 3; d.put(3, Math.cos(angle), Math.sin(angle));
        requestAnimationFrame(move); }; move()""",
    "geometry, turning": """document.getElementById("tab-geometry").click()""",
}
TIMES = """const done = arguments[0], times = []; let last = performance.now(), end = last + 1000 * SECONDS;
    const frame = () => { const now = performance.now(); times.push(now - last); last = now;
    if (now < end) requestAnimationFrame(frame); else done(times); }; requestAnimationFrame(frame)"""


def main():
    parser = argparse.ArgumentParser(description="The explorer's frames.")
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    print("frame, ms            median   95 %   worst")
    with chromium("disable-frame-rate-limit", "disable-gpu-vsync") as browser:
        browser.driver.set_script_timeout(seconds + 60)
        for name, start in MOVING.items():
            browser.open(width=1280, height=800)
            browser.run(start)
            times = browser.driver.execute_async_script(TIMES.replace("SECONDS", str(seconds)))[5:]
            print(f"{name:18}   {np.median(times):6.1f} {np.quantile(times, 0.95):6.1f} {max(times):7.1f}", flush=True)


if __name__ == "__main__":
    main()
