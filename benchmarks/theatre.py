"""What a frame of the theatre costs in Chromium: 20 servers, 500 requests in flight.

`python -m benchmarks.theatre` prints a table, `--json` one object. By case, the milliseconds a frame: script
(`script_ms`: find what is on the stage, and draw it), and with the pixels (`frame_ms`: until they can be read
back, without a graphics card), median, 95th and 99th percentile; the processor time of all processes of
Chromium (`cpu_ms`, which other programs do not disturb); and `frames_per_second` while it plays. A frame has
16.7 ms at 60 a second.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.harness import options, report
from lbkit import Experiment, run, servers
from lbkit.viz.theatre.film import Film, film
from lbkit.viz.theatre.page import page

CASES = {"3 servers": (3, 2, 0.8), "20 servers": (20, 8, 0.95), "60 servers": (60, 8, 0.95)}  # workers, load
MOST = 20_000  # requests of a film
MEASURE = """frames => {
  const { player, stages: [{ canvas, index: { requests } }] } = document.getElementById("theatre").theatre;
  const pen = canvas.getContext("2d");
  const [script, frame, flight] = [[], [], []];
  const span = player.end - player.begin;
  player.playing = true; // what is written for screen readers at rest costs no frame
  for (let i = 0; i < frames; i++) {
    const start = performance.now();
    player.seek(player.begin + span * (0.5 + 0.5 * (i / frames)));
    script.push(performance.now() - start);
    pen.getImageData(0, 0, 1, 1);
    frame.push(performance.now() - start);
    if (i % 20) continue;
    const gone = requests.answered.filter((answered) => answered !== null && answered <= player.t).length;
    flight.push(requests.sent.filter((sent) => sent <= player.t).length - gone);
  }
  player.playing = false;
  return { script, frame, flight };
}"""
PLAY = """() => new Promise((done) => {
  const { player } = document.getElementById("theatre").theatre;
  player.seek(player.begin + (player.end - player.begin) * 0.7);
  player.faster(-1);
  player.toggle();
  let frames = 0;
  const start = performance.now();
  const next = (now) => (frames++, now - start < 3000 ? requestAnimationFrame(next) : done(frames / 3));
  requestAnimationFrame(next);
})"""


def scene(count: int, workers: int, load: float) -> Film:
    return film(
        run(Experiment(servers(count, workers=workers), policy="random").but(duration=6).at_load(load)),
        most=MOST,
    )


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
        for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def measured(browser: Any, shown: Film, folder: Path, frames: int) -> dict[str, Any]:
    (folder / "x.html").write_text(page([shown.to_dict()]), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 1366, "height": 900}, bypass_csp=True)
    tab.goto(f"file://{folder / 'x.html'}")
    tab.evaluate(MEASURE, 50)  # warm
    before = processor_time(browser)
    took = tab.evaluate(MEASURE, frames)
    row = {
        "cpu_ms": round((processor_time(browser) - before) / frames * 1000, 2),
        "in_flight": round(sum(took["flight"]) / len(took["flight"])),
        "script_ms": percentiles(took["script"]),
        "frame_ms": percentiles(took["frame"]),
        "frames_per_second": round(tab.evaluate(PLAY), 1),
    }
    tab.close()
    return row


def processor_time(browser: Any) -> float:
    """Return the seconds of processor time that all processes of the browser have used."""
    session = browser.new_browser_cdp_session()
    used = sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"])
    session.detach()
    return float(used)


def measure(frames: int) -> dict[str, Any]:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        found = {name: measured(browser, scene(*case), Path(folder), frames) for name, case in CASES.items()}
        browser.close()
    return {"cases": found}


def show(found: dict[str, Any]) -> None:
    print("milliseconds a frame: median, 95th, 99th percentile")
    print(
        f"{'':12}{'in flight':>10}{'script':>24}{'with pixels':>24}{'processor':>11}{'frames a second':>17}"
    )
    for name, row in found["cases"].items():
        costs = "".join(
            "".join(f"{ms:8.1f}" for ms in row[key].values()) for key in ("script_ms", "frame_ms")
        )
        print(f"{name:12}{row['in_flight']:10}{costs}{row['cpu_ms']:11.1f}{row['frames_per_second']:17}")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=300, help="a case")
    report(parser, measure, show)


if __name__ == "__main__":
    main()
