// The cache on the main picture: a shelf at the balancer's door.

function drawCache(pen, { small, cache: { x, y } }, { theme, colour }) {
  rounded(pen, x - 13, y - 19, 26, 38, 5);
  pen.fillStyle = theme.page;
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = colour;
  pen.stroke();
  pen.lineWidth = 1.5;
  pen.strokeStyle = theme.line;
  pen.fillStyle = theme.slot;
  for (const [shelf, books] of [[-6, [-9, -3]], [5, [-9, 1]], [16, [-4]]]) {
    for (const book of books) pen.fillRect(x + book, y + shelf - 8, 5, 8);
    if (shelf > 15) continue;
    pen.beginPath();
    pen.moveTo(x - 12, y + shelf);
    pen.lineTo(x + 12, y + shelf);
    pen.stroke();
  }
  if (small) return; // the figure below says what it is
  pen.font = font(11, 600);
  pen.fillStyle = theme.faint;
  pen.textAlign = "right";
  pen.textBaseline = "alphabetic";
  pen.fillText("cache", x - 4, y - 25);
}

// Past the last that there is room for, the number of all that wait there.
function drawFollowNumber(pen, layout, { following }, { theme }) {
  if (following <= FOLLOWERS) return;
  const { x, y } = followPlace(layout, FOLLOWERS);
  pen.font = font(11, 650);
  pen.fillStyle = theme.ink;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(`${following.toLocaleString("en")} wait`, x, y + 2);
}
