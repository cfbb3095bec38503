// What the stage says: the line below it, the counts above it, and the summary for screen readers.

const HELD = 1.2; // seconds on the screen that a caption stays while the film runs
const NOTICED = 4; // seconds on the screen that what a layer notices stays
const READABLE = 3; // decisions in that time; with more, no captions while it runs

const MANY = 6; // scores that are too many for a sentence: the bars show them

// The last decision at or before t, as a caption; null before the first, and where they come too fast to read.
function captionAt(index, player) {
  const { t } = player;
  const notice = noticeAt(index, player);
  if (notice) return notice;
  if (player.playing && player.goal === null) {
    const hold = HELD * player.rate;
    if (until(index.steps, t) - until(index.steps, t - hold) > READABLE) return null;
  }
  const attempt = until(index.attempts.at, t) - 1;
  const at = attempt < 0 ? -Infinity : index.attempts.at[attempt];
  const caption = index.captions[until(index.captionTimes, t) - 1];
  const own = index.own.times[until(index.own.times, t) - 1] ?? -Infinity;
  if (own > Math.max(at, caption?.at ?? -Infinity)) return ownAnswer(index, own);
  if (caption && caption.at >= at - 1e-6) return caption;
  return attempt < 0 ? null : { at, request: index.attempts.request[attempt], chosen: index.attempts.server[attempt] };
}

// An answer of the balancer's own: of a rule, or where it refuses.
function ownAnswer({ own, requests, film }, at) {
  const request = own.requests[until(own.times, at) - 1];
  return { at, request, chosen: null, own: true, where: OUTCOME_WORDS[film.outcomes[requests.outcome[request]]] };
}

// What a layer has noticed: for a while, as it says more than the decisions around it.
function noticeAt(index, { t, rate }) {
  const notice = index.notices[until(index.noticeTimes, t) - 1];
  return notice && t - notice.at < NOTICED * rate ? { at: notice.at, request: -1, chosen: null, notice: notice.text } : null;
}

function captionText(index, caption) {
  if (caption.notice) return { who: caption.notice, chosen: "", why: "" };
  const { film, requests } = index;
  const kind = kindOf(index, caption);
  const client = film.clients[requests.client[caption.request]]?.name ?? "";
  const number = (requests.row?.[caption.request] ?? caption.request) + 1;
  return {
    who: `${kind}request ${number.toLocaleString("en")} of ${client}`,
    chosen: film.servers[caption.chosen]?.name ?? caption.where ?? "no server",
    why: [ruleText(index, caption), whyText(index, caption)].filter(Boolean).join("; "),
  };
}

// The rule of content switching that has chosen the pool.
function ruleText({ film, requests }, caption) {
  if (!film.rules?.length) return "";
  const rule = film.rules[requests.rule?.[caption.request]];
  return rule ? `rule ${rule.name}: ${rule.says}` : "no rule fits";
}

// A ring shows what is near; bars show scores that are too many for a sentence.
function whyText(index, caption) {
  if (Object.keys(caption.scores ?? {}).length > MANY) return `${caption.rule}${caption.best && `; ${caption.best} wins`}`;
  const text = caption.text ?? (index.relays ? "its connection leads there" : "");
  return caption.near?.length && index.tints ? text.split("; at ")[0].replace("each; ", "each: ") : text;
}

function kindOf({ attempts, film }, caption) {
  const last = until(attempts.at, caption.at);
  for (let i = last - 1; i >= 0 && attempts.at[i] === caption.at; i--)
    if (attempts.request[i] === caption.request && attempts.kind[i]) return `${film.kinds[attempts.kind[i]]} of `;
  return "";
}

function countsAt(index, moment) {
  const { t } = moment;
  const ended = Object.entries(index.done).map(([outcome, times]) => [outcome, until(times, t)]);
  const sent = until(index.requests.sent, t);
  const inFlight = sent - ended.reduce((sum, [, count]) => sum + count, 0);
  return { inFlight, ended: ended.filter(([outcome, count]) => count || outcome === "ok") };
}

function countsText(index, moment) {
  const { inFlight, ended } = countsAt(index, moment);
  const parts = ended.map(([outcome, count]) => `${count.toLocaleString("en")} ${OUTCOME_WORDS[outcome] ?? outcome}`);
  return [`${inFlight.toLocaleString("en")} in flight`, ...parts].join(" · ");
}

// All that the picture shows, for those who hear it.
function spoken(index, moment, caption, time) {
  const { film } = index;
  const servers = moment.servers.map((now, i) => {
    const state = badges(now).map((badge) => badge.text.slice(2)).join(", ");
    return `${film.servers[i].name}${state && `, ${state}`}: ${now.busy} in service, ${now.waiting} waiting`;
  });
  const said = caption && captionText(index, caption);
  const tiers = moment.tiers.map((now, i) => [film.tiers[i].name, badges(now).map(({ text }) => text.slice(2)).join(", ")]);
  const broken = tiers.filter(([, state]) => state).map((said) => said.join(", "));
  const choice = caption?.notice ? `${caption.notice}. ` : said ? `${said.who} ${caption.own ? "is" : "goes to"} ${said.chosen}. ${said.why && `${said.why}. `}` : "";
  const policy = moment.policy === film.policy ? "" : ` balancer: ${moment.policy.replaceAll("_", " ")};`;
  return `${film.title}, at ${time}.${policy} ${choice}${countsText(index, moment)}. ${[...broken, ...servers].join("; ")}.`;
}

// The outcomes and kinds of attempts that are in these films, for the legend.
function shownSymbols(indexes) {
  const found = new Set();
  for (const { film, requests, attempts } of indexes) {
    for (const outcome of new Set([...requests.outcome, ...attempts.outcome])) found.add(film.outcomes[outcome]);
    for (const kind of new Set(attempts.kind)) found.add(film.kinds[kind]);
  }
  return found;
}
