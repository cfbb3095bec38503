// Balancers below each other: a column for each layer, between the entrance and the servers. A request flies along
// the road of its server, which leads through the tiers above it.

const TIER_HEIGHT = 34;

const treeDepth = ({ tiers }) => Math.max(0, ...(tiers ?? []).map(({ depth }) => depth));

// The box of each tier, half-way between its first server and its last.
function tierPlaces(layout, film, from, to) {
  const deep = treeDepth(film);
  const step = (to - from) / (deep + 0.8);
  const width = clamp(step - 12, 22, 96);
  const height = Math.min(TIER_HEIGHT, layout.pitch - 4);
  return (film.tiers ?? []).map(({ depth, first, last }) => ({
    x: from + 10 + (depth - 1) * step,
    y: (middle(layout.boxes[first]) + middle(layout.boxes[last])) / 2 - height / 2,
    width,
    height,
  }));
}

const tiersEnd = ({ tiers }) => Math.max(...tiers.map(({ x, width }) => x + width));

const centreOf = ({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 });

// The points that lead from the hub to each server; undefined where there are no tiers.
function routesOf(layout, film) {
  if (!film.tiers?.length) return undefined;
  return layout.boxes.map((box, i) => {
    const through = layout.tiers.filter((_, k) => film.tiers[k].first <= i && i <= film.tiers[k].last);
    return [layout.hub, ...through.map(centreOf), { x: layout.entry, y: middle(box) }];
  });
}

function treeRoad(route, x) {
  const next = clamp(route.findIndex((point) => point.x >= x), 1, route.length - 1);
  const [from, to] = x > route.at(-1).x ? route.slice(-2) : [route[next - 1], route[next]];
  return mix(from.y, to.y, smooth((x - from.x) / (to.x - from.x)));
}

// From the entrance, or the tier above, to each tier.
function drawTierWays(pen, { film }, layout, moment, { theme, caption, colour }) {
  layout.tiers.forEach((box, i) => {
    const { above, first, last } = film.tiers[i];
    const chosen = caption?.chosen >= first && caption.chosen <= last && caption.chosen !== null;
    pen.setLineDash(badges(moment.tiers[i]).some(({ shut }) => shut) && !chosen ? [3, 5] : []);
    pen.strokeStyle = chosen ? colour : theme.hair;
    pen.lineWidth = chosen ? 3 : 1.5;
    way(pen, above < 0 ? layout.hub : centreOf(layout.tiers[above]), centreOf(box));
    pen.setLineDash([]);
  });
}

function drawTiers(pen, { film }, layout, moment, { theme }) {
  layout.tiers.forEach((box, i) => {
    const [worst] = badges(moment.tiers[i]);
    rounded(pen, box.x, box.y, box.width, box.height, 9);
    pen.fillStyle = theme.panel;
    pen.fill();
    if (worst?.hatched) hatch(pen, box, theme[worst.tone]);
    pen.lineWidth = worst ? 2 : 1.5;
    pen.strokeStyle = worst ? theme[worst.tone] : theme.line;
    pen.setLineDash(film.tiers[i].asked || (worst?.shut && !worst.hatched) ? [5, 4] : []);
    rounded(pen, box.x, box.y, box.width, box.height, 9);
    pen.stroke();
    pen.setLineDash([]);
    tierWords(pen, film.tiers[i].name, box, worst, theme);
  });
}

function tierWords(pen, name, box, worst, theme) {
  const { x, y } = centreOf(box);
  const two = worst && box.height >= 26;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.font = font(box.width < 60 ? 9 : 11, 650);
  pen.fillStyle = worst && !two ? theme[worst.tone] : theme.ink;
  const short = pen.measureText(name).width > box.width - 4 ? name.split("-").at(-1) : name;
  pen.fillText(fitted(pen, short, box.width - 4), x, two ? y - 6 : y + 0.5);
  if (!two) return;
  pen.font = font(9.5, 700);
  pen.fillStyle = theme[worst.tone];
  pen.fillText(fittedState(pen, worst, box.width - 4), x, y + 7);
}
