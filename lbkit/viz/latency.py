"""Figures of latency: its distribution, percentiles, and growth with utilisation. In seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor, isfinite, log10

from lbkit.result import PERCENTILES, Result, percentile
from lbkit.viz.drawing import Figure, Trace, answered, drawn, figure, latency_axis, line
from lbkit.viz.sketch import Sketch, sketched
from lbkit.viz.style import INK, Look, axis, duration, named_look, title

DECADE = 16  # points of a distribution between two marks; the quickest 13 % are left out
MARKED = (50.0, 90.0, 99.0, 99.9, 99.99)
SLOWEST = {0.01: "1 in 100", 0.1: "1 in 10"}  # the share that figures point at
ENOUGH = 5  # slower answers, below which a percentile is an accident
Curves = Mapping[str, Iterable[tuple[float, float]]]  # name -> (utilisation, seconds), ...


def latency_cdf(results: Sequence[Result], marks: bool = True) -> Figure:
    """Return the distribution of latency of the good answers: how many wait longer than a time.

    The vertical axis spreads 90 %, 99 % and 99.9 % evenly, as it shows the slower share (1 - F) on a
    logarithmic scale: each mark is ten times as rare as the one before, as in an HdrHistogram.
    A line ends at the slowest of its answers. Without `marks` at percentiles it is drawn in half the time.
    """
    return drawn(latency_sketch(results, marks))


def latency_sketch(results: Sequence[Result], marks: bool = True) -> Sketch:
    """Return the data of `latency_cdf`."""
    rows = answered(results)
    traces = [distribution(*row, marks=marks) for row in rows]
    if not traces:
        return sketched("", traces)
    rarest = min(4, max(2, *(floor(log10(len(r.latencies()))) for _, _, r in rows)))
    ticks = {1.0: "0 %", 0.5: "50 %"} | {
        10.0**-n: f"{100 - 10.0 ** (2 - n):g} %" for n in range(1, rarest + 1)
    }
    y = axis(
        "answers within that time",
        type="log",
        range=[0, -rarest - 0.1],  # rare ones on top
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
    )
    x = latency_axis(traces, "x")
    share = slowest_share(rows)
    mark, says = AT_SLOWEST | {"y0": share, "y1": share}, SAYS_SLOWEST | {"y": log10(share)}
    says["text"] = f"{SLOWEST[share]} waits longer than this"
    more = {"xaxis": x, "yaxis": y, "shapes": [mark], "annotations": [says]}
    return sketched(slowest(rows), traces, meta={"alt": within(rows)}, **more)


def within(rows: Sequence[tuple[str, Look, Result]]) -> str:
    """Return the latencies at three percentiles in words."""
    said = [
        f"{name}: {', '.join(f'{p:g} % within {duration(r.percentile(p))}' for p in MARKED[:3])}"
        for name, _, r in rows
    ]
    return f"Latency of the answers: {'; '.join(said)}"


AT_SLOWEST = {
    "type": "line",
    "xref": "paper",
    "x0": 0,
    "x1": 1,
    "line": {"color": INK, "width": 1, "dash": "dot"},
    "layer": "below",
}
SAYS_SLOWEST = {  # y: annotations on a logarithmic axis take the exponent
    "xref": "paper",
    "x": 0,
    "xanchor": "left",
    "yanchor": "bottom",
    "showarrow": False,
    "font": {"size": 11, "color": INK},
}


def slowest_share(rows: Sequence[tuple[str, Look, Result]]) -> float:
    """Return the rarest share in SLOWEST of which every result has enough answers, else the last."""
    fewest = min(len(result.latencies()) for _, _, result in rows)
    return next((share for share in SLOWEST if fewest * share >= ENOUGH), max(SLOWEST))


def slowest(rows: Sequence[tuple[str, Look, Result]]) -> str:
    """Return the finding of a comparison of latencies: what the slowest wait, at best and worst."""
    share = slowest_share(rows)
    found = sorted((result.percentile(100 - 100 * share), name) for name, _, result in rows)
    texts = [f"{duration(seconds)} ({name})" for seconds, name in (found[0], found[-1])]
    return f"{SLOWEST[share]} waits longer than {' or '.join(texts[: len(found)])}"


def distribution(name: str, style: Look, result: Result, marks: bool = True) -> Trace:
    """Return the line of a result, with or without marks at the percentiles that the axis names."""
    ordered = result.latencies()
    last = log10(len(ordered))
    steps = [i / DECADE for i in range(int(last * DECADE) + 1)]
    marked = [q for q in MARKED if (100 - q) / 100 >= 0.999 / len(ordered)]
    shares = sorted({10**-s for s in steps[1:]} | {1 - q / 100 for q in marked} | {10**-last}, reverse=True)
    where = {round(1 - q / 100, 6) for q in marked}
    x = [percentile(ordered, 100 - 100 * share) for share in shares]
    return line(
        name,
        style,
        rounded(x),
        rounded(shares),
        "%{text}",
        text=[f"{1 - share:.4%} within {duration(t)}" for share, t in zip(shares, x, strict=True)],
        mode="lines+markers" if marks else "lines",
        marker={
            "color": style.colour,
            "symbol": style.symbol,
            "size": [8 if round(share, 6) in where else 0 for share in shares],
            "opacity": 1,
            "line": {"width": 0},
        },
    )


def rounded(values: Iterable[float]) -> list[float]:
    """Return values with five digits, as no screen shows more: saved notebooks stay small."""
    return [float(f"{v:.5g}") for v in values]


def percentiles(results: Sequence[Result]) -> Figure:
    """Return the median and the tail, a line for each policy."""
    rows = answered(results)
    x = [f"p{q:g}" for q in PERCENTILES]
    traces = []
    for name, style, result in rows:
        y = [result.percentile(q) for q in PERCENTILES]
        marks = {"symbol": style.symbol, "size": 8}
        traces.append(
            line(
                name,
                style,
                x,
                rounded(y),
                "%{x}: %{text}",
                text=list(map(duration, y)),
                mode="lines+markers",
                marker=marks,
            )
        )
    named = axis("share of answers that are faster (%)", type="category")
    return figure(slowest(rows) if rows else "", traces, xaxis=named, yaxis=latency_axis(traces, "y"))


def response_time_curve(curves: Curves, theory: Curves | None = None) -> Figure:
    """Return mean response time against utilisation, 0 to 1; `theory` as thin dotted lines.

    Both: name -> (utilisation, seconds) pairs. A line of theory has the colour of the curve of the same
    name."""
    looks = {name: named_look(name, number) for number, name in enumerate(curves)}
    measured = [curve(title(name), looks[name], points, "lines+markers") for name, points in curves.items()]
    closed_forms = [
        curve(f"{title(name)}, theory", Look(INK), points)
        | {"line": {"color": looks[name].colour if name in looks else INK, "dash": "dot", "width": 1}}
        for name, points in (theory or {}).items()
    ]
    traces = [trace for trace in measured + closed_forms if trace["x"]]
    return figure(
        steepest([trace for trace in measured if trace["x"]]),
        traces,
        xaxis=axis("utilisation", tickformat=".0%", range=[0, 1]),
        yaxis=axis("mean response time (s)", rangemode="tozero"),
    )


def curve(name: str, style: Look, points: Iterable[tuple[float, float]], mode: str = "lines") -> Trace:
    """Return a curve, ascending, without points that are not finite, as at a load of 1."""
    finite = sorted((rho, seconds) for rho, seconds in points if isfinite(seconds))
    return line(
        name,
        style,
        [rho for rho, _ in finite],
        rounded(seconds for _, seconds in finite),
        "%{x:.0%} busy: %{text}",
        text=[duration(seconds) for _, seconds in finite],
        mode=mode,
    )


def steepest(curves: Sequence[Trace]) -> str:
    """Return the finding of response time curves: by how much the mean grows towards the highest load."""
    grown = [(c["y"][-1] / c["y"][0], c["name"], c["x"]) for c in curves if len(c["x"]) > 1 and c["y"][0]]
    if not grown:
        return "Response time and utilisation"
    texts = [f"{ratio:.3g} times ({name})" for ratio, name, _ in (min(grown), max(grown))]
    _, _, x = max(grown)
    return f"From {x[0]:.0%} to {x[-1]:.0%} busy, the mean grows {' or '.join(texts[: len(grown)])}"
