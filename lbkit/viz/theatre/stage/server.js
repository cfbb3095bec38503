// A server: a box with a slot for each worker, its name, what it is, and its state; and its score.

function drawServer(pen, index, layout, number, now, marks, look) {
  const { theme } = look;
  const box = layout.boxes[number];
  const worst = marks[0];
  rounded(pen, box.x, box.y, box.width, box.height, 8);
  pen.fillStyle = theme.panel;
  pen.fill();
  if (worst?.hatched) hatch(pen, box, theme[worst.tone]);
  const chosen = look.caption?.chosen === number;
  pen.lineWidth = chosen ? 2.5 : worst ? 2 : 1.5;
  pen.strokeStyle = chosen ? look.colour : worst ? theme[worst.tone] : theme.line;
  pen.setLineDash(worst?.shut && !worst.hatched ? [5, 4] : []);
  rounded(pen, box.x, box.y, box.width, box.height, 8);
  pen.stroke();
  pen.setLineDash([]);
  drawSlots(pen, box, theme);
  drawTint(pen, index, box, number, theme);
  drawWords(pen, index, layout, number, now, marks, theme);
}

// Where a prop has colours of servers: the same one here.
function drawTint(pen, { tints }, box, number, theme) {
  if (!tints) return;
  const [inner, share] = bandOf(tints.turns[number]);
  pen.fillStyle = lifted(tints.colours[number], theme);
  pen.fillRect(box.x + box.width - 11 + 7 * inner, box.y + 5, 7 * share, box.height - 10);
}

function hatch(pen, box, colour) {
  pen.save();
  rounded(pen, box.x, box.y, box.width, box.height, 8);
  pen.clip();
  pen.globalAlpha = 0.18;
  pen.strokeStyle = colour;
  pen.lineWidth = 3;
  pen.beginPath();
  for (let x = box.x - box.height; x < box.x + box.width; x += 11) {
    pen.moveTo(x, box.y + box.height);
    pen.lineTo(x + box.height, box.y);
  }
  pen.stroke();
  pen.restore();
}

function drawSlots(pen, box, theme) {
  pen.fillStyle = theme.slot;
  pen.beginPath();
  for (const { x, y, size } of box.slots) pen.roundRect(box.x + x, box.y + y, size, size, 5);
  pen.fill();
}

// More workers than slots can be seen: how many are busy.
function drawGauge(pen, index, box, number, now, theme) {
  const { workers } = index.film.servers[number];
  const tall = Math.min(14, box.height - 8);
  const [x, y] = [box.x + 7, box.y + (box.height - tall) / 2];
  const width = box.slotsWidth - 7;
  rounded(pen, x, y, width, tall, 4);
  pen.fillStyle = theme.slot;
  pen.fill();
  rounded(pen, x, y, width * clamp(now.busy / workers, 0, 1), tall, 4);
  pen.fillStyle = theme.line;
  pen.fill();
  pen.font = font(Math.min(10, tall - 2), 650);
  pen.fillStyle = theme.ink;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(`${now.busy} of ${workers}`, x + width / 2, y + tall / 2 + 0.5);
}

function drawWords(pen, index, layout, number, now, marks, theme) {
  const box = layout.boxes[number];
  const x = box.x + box.slotsWidth + 10;
  const room = box.x + box.width - x - (index.tints ? 14 : 6);
  const { name } = index.film.servers[number];
  const lines = [{ text: name, font: font(clamp(box.height * 0.42, 9, 13), 650), colour: theme.ink }];
  const above = layout.small && room < 74 && box.height >= 64 ? marks.slice(0, 1) : [];
  for (const mark of above) stateAbove(pen, mark, box, box.width - (index.tints ? 22 : 14), theme);
  const below = above.length ? [] : marks;
  const said = traits(index.film, number, now, layout.small);
  const small = font(clamp(box.height * 0.3, 9, 11));
  if (box.height >= 40 && below.length < 2) lines.push(...fittingLines(pen, said, small, theme.faint, room, box));
  for (const mark of below.slice(0, box.height >= 40 ? 2 : 1))
    lines.push({ ...mark, font: font(clamp(box.height * 0.36, 9, 11.5), 700), colour: theme[mark.tone] });
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  if (box.height < 40) drawInOneLine(pen, lines, x, box, room);
  else drawColumn(pen, lines, x, box, room);
}

// Where there is no room for words beside the slots: the worst state, above them.
function stateAbove(pen, mark, box, room, theme) {
  pen.font = font(11, 700);
  pen.fillStyle = theme[mark.tone];
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(fittedState(pen, mark, room), box.x + 7, box.y + 12);
}

// As many lines of traits as there is room for.
function fittingLines(pen, words, face, colour, room, box) {
  pen.font = face;
  const lines = [];
  for (const word of words) {
    const longer = lines.length ? `${lines.at(-1)} · ${word}` : word;
    if (lines.length && pen.measureText(longer).width <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.slice(0, box.height >= 62 ? 2 : 1).map((text) => ({ text, font: face, colour }));
}

function drawColumn(pen, lines, x, box, room) {
  const step = Math.min(16, (box.height - 6) / lines.length);
  const top = box.y + box.height / 2 - ((lines.length - 1) * step) / 2;
  lines.forEach((line, i) => {
    pen.font = line.font;
    pen.fillStyle = line.colour;
    pen.fillText(fittedState(pen, line, room), x, top + i * step);
  });
}

function fittedState(pen, { text, short }, room) {
  return fitted(pen, short && pen.measureText(text).width > room ? short : text, room);
}

function drawInOneLine(pen, lines, x, box, room) {
  let used = 0;
  for (const line of lines) {
    pen.font = line.font;
    pen.fillStyle = line.colour;
    const text = fitted(pen, line.text, room - used);
    if (room - used > 12) pen.fillText(text, x + used, box.y + box.height / 2 + 0.5);
    used += pen.measureText(text).width + 8;
  }
}

// What the balancer has seen of each server: a bar, the number, and a mark at the winner.
function drawScores(pen, index, layout, { theme, caption, colour }) {
  const scores = caption.scores ?? {};
  const most = Math.max(...Object.values(scores).map((value) => Math.abs(value ?? 0)), 1e-12);
  index.film.servers.forEach(({ name }, i) => {
    if (!(name in scores)) return;
    const box = layout.boxes[i];
    const won = caption.chosen === i;
    const share = Math.abs(scores[name] ?? 0) / most;
    pen.fillStyle = won ? colour : theme.line;
    if (layout.small) {
      pen.fillRect(box.x + 4, box.y + box.height - 4, Math.max(2, (box.width - 8) * share), won ? 4 : 3);
      return;
    }
    const y = box.y + box.height / 2;
    const x = layout.scoreX;
    rounded(pen, x, y + 3, Math.max(2, (layout.scoreWidth - 12) * share), clamp(layout.pitch * 0.14, 4, 8), 2);
    pen.fill();
    pen.font = font(clamp(layout.pitch * 0.36, 9, 12), won ? 750 : 450);
    pen.fillStyle = won ? theme.ink : theme.faint;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillText(`${brief(scores[name])}${won ? " ✓" : ""}`, x, y - 1);
  });
}
