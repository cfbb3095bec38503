// Above the scrub bar: how many requests were in flight, where some failed or were rejected, and what happened to servers.

function drawStrip(pen, width, height, stages, player, theme) {
  const indexes = stages.map(({ index }) => index);
  const span = player.end - player.begin || 1;
  const place = (t) => ((t - player.begin) / span) * width;
  const most = Math.max(...indexes.map(({ curve }) => curve.inFlight.reduce((a, b) => Math.max(a, b), 1)));
  stages.forEach((stage, number) => {
    const { index } = stage;
    const colour = stages.length > 1 && stage.theme ? stage.colourOf(index.film.policy) : theme.line;
    drawCurve(pen, index, place, height, most, number, colour);
    drawEnds(pen, index, index.curve.rejections, place, height, theme.warned);
    drawEnds(pen, index, index.curve.failures, place, height, theme.failed);
  });
  for (const mark of marksOf(indexes)) {
    pen.fillStyle = theme[mark.tone];
    const x = place(mark.at);
    pen.fillRect(x - 0.75, 8, 1.5, height - 8);
    mark.calm ? circle(pen, x, 5, 3) : diamond(pen, x, 5, 4);
    pen.fill();
  }
}

function drawCurve(pen, { curve, begin, end }, place, height, most, number, colour) {
  pen.beginPath();
  pen.moveTo(place(begin), height);
  curve.inFlight.forEach((count, bin) => {
    const y = height - (height - 12) * (count / most);
    pen.lineTo(place(begin + ((end - begin) * bin) / BINS), y);
    pen.lineTo(place(begin + ((end - begin) * (bin + 1)) / BINS), y);
  });
  pen.lineTo(place(end), height);
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.globalAlpha = number === 0 ? 0.45 : 1;
  if (number === 0) pen.fill();
  else pen.stroke(); // the second film: a line over the area of the first
  pen.globalAlpha = 1;
}

// A mark at the bottom of each part in which requests ended badly.
function drawEnds(pen, { begin, end }, counts, place, height, colour) {
  pen.fillStyle = colour;
  const width = Math.max(2, place(begin + (end - begin) / BINS) - place(begin));
  counts.forEach((count, bin) => {
    if (count) pen.fillRect(place(begin + ((end - begin) * bin) / BINS), height - 4, width, 4);
  });
}

function diamond(pen, x, y, radius) {
  pen.beginPath();
  pen.moveTo(x, y - radius);
  pen.lineTo(x + radius, y);
  pen.lineTo(x, y + radius);
  pen.lineTo(x - radius, y);
  pen.closePath();
}

// What happened to servers within the film: what for, and when.
function marksOf(indexes) {
  return indexes.flatMap(({ film, begin, end }) =>
    (film.states ?? [])
      .filter(({ at }) => at > begin && at <= end)
      .map((change) => {
        const calm = CALM.has(change.state);
        const name = nodesOf(film)[change.server]?.name ?? "balancer";
        const value = change.value === null || change.value === undefined ? "" : ` (${brief(change.value)})`;
        const who = change.why === "by hand" ? ", by hand" : "";
        const text = `${name}: ${change.kind === "server" ? "" : `${change.kind} `}${change.state.replaceAll("_", " ")}${value}${who}`;
        return { at: change.at, calm, tone: calm ? "faint" : lookOf(change).tone, text };
      })
  );
}
