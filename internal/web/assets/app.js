// SPDX-License-Identifier: BSD-3-Clause

// The local page of chive. It asks the daemon at its own address and nobody else, and
// puts what it is told into the page as text, never as markup. Spec: product PAGE-1..4.

const pollTime = 2000; // ms between two looks
const graphTime = 300; // s that the graph shows
const key = 'chive.session';
const $ = (id) => document.getElementById(id);

// What the page knows. Views are made from it anew after each change.
const now = {
  secret: null, // of the session; null: none
  refused: null, // {level, text}: why there is none
  lost: false, // the daemon does not answer
  status: null, streams: null,
  settings: undefined, // undefined: not asked yet; null: there are none to see
  samples: [], // of the client's traffic: {at: s, up, down: bytes}
  view: 'status',
  show: 'all', // of streams
  find: '', changed: false, // of settings
  notice: null, // {level, text}: what an action led to
};

// ---- Elements ----

const svgNames = new Set(['svg', 'path', 'rect', 'circle', 'line', 'text', 'g', 'title']);

// h makes an element. Children are elements, text, or lists of them; what is false, null
// or undefined is left out. There is no way from text to markup here.
function h(name, attributes, ...children) {
  const e = svgNames.has(name) ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [k, v] of Object.entries(attributes ?? {})) {
    if (v !== false && v !== null && v !== undefined) e.setAttribute(k, v === true ? '' : String(v));
  }
  for (const c of children.flat(Infinity)) {
    if (c instanceof Node) e.append(c);
    else if (c !== false && c !== null && c !== undefined && c !== '') e.append(document.createTextNode(String(c)));
  }
  return e;
}

// patch makes the children of an element like those in next, and keeps the elements that
// are there already: who has the focus, has text selected or details open, keeps them.
function patch(parent, next) {
  const wanted = new Set(next.map((n) => n.dataset?.key).filter(Boolean));
  const kept = new Map();
  for (const old of [...parent.childNodes]) {
    const k = old.dataset?.key;
    if (k && !wanted.has(k)) old.remove();
    else if (k) kept.set(k, old);
  }
  let at = parent.firstChild;
  for (const n of next) {
    const k = n.dataset?.key;
    let same = null;
    if (k) same = kept.get(k);
    else if (at && !at.dataset?.key) same = at;
    if (!same || same.nodeName !== n.nodeName) {
      parent.insertBefore(n, at);
      continue;
    }
    kept.delete(k);
    if (same === at) at = at.nextSibling;
    else parent.insertBefore(same, at);
    update(same, n);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

function update(old, n) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== n.data) old.data = n.data;
    return;
  }
  for (const a of n.attributes) {
    if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  }
  for (const a of [...old.attributes]) {
    if (!n.hasAttribute(a.name) && a.name !== 'open') old.removeAttribute(a.name);
  }
  patch(old, [...n.childNodes]);
}

// ---- Words ----

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const count = (n, one, many = one + 's') => `${plain.format(n)} ${n === 1 ? one : many}`;
const short = (rid) => (rid ?? '').slice(0, 10);
const percent = (share) => (share >= 0.01 ? Number((share * 100).toFixed(1)) : (share * 100).toPrecision(2)) + ' %';

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let u = 0;
  while (Math.round(n) >= 1024 && u < units.length - 1) { n /= 1024; u++; } // as it is shown: never 1024 KiB
  return `${u === 0 || n >= 99.95 ? Math.round(n) : n.toFixed(1)} ${units[u]}`;
}

// round is bytes for a figure that somebody has chosen.
const round = (n) => bytes(n).replace('.0 ', ' ');

function lasts(s) {
  if (!(s >= 0)) s = 0;
  if (s > 0 && s < 0.9995) return s < 0.001 ? 'less than 1 ms' : `${Math.round(s * 1000)} ms`;
  if (s < 10 && s % 1) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return count(Math.floor(s / 86400), 'day');
}

// since says how long ago a time was, by the daemon's clock.
const since = (then, by) => lasts(Math.max(0, Math.round((Date.parse(by) - Date.parse(then)) / 1000)));
const at = (time) => new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const day = (time) => new Date(time).toLocaleDateString('en-GB', { dateStyle: 'medium', timeZone: 'UTC' });
const hour = (time) => new Date(time).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
// until is a day, or a time where a day would say too little.
const until = (time, by) => (Date.parse(time) - Date.parse(by) < 48 * 3600 * 1000 ? hour(time) : day(time));
const are = (n) => `${plain.format(n)} ${n === 1 ? 'is' : 'are'}`;
// forwarded is a total that relays tell in whole MiB.
const forwarded = (n, less) => (n < 1 << 20 ? `${less} 1 MiB` : round(n));

// age is that of a relay. Days of a testnet are minutes.
function age(days, daySeconds) {
  if (!(days > 0)) return 'new';
  return daySeconds > 0 && daySeconds < 86400 ? lasts(days * daySeconds) : count(days, 'day');
}

const clientWords = {
  cold: 'Starting: looking for a relay to ask',
  chain: 'Starting: checking who signed the newest list of relays',
  table: 'Starting: fetching the list of relays',
  check: 'Asking relays apart whether they hold the same list',
  ready: 'Ready',
  stale: 'Working with an old list of relays',
  refused: 'Stopped: the list of relays is too old',
  down: 'Not connected: no circuit can be made',
};
const working = (c) => c.state === 'ready' || c.state === 'stale';
const phaseWords = { client: 'This client', bootstrap: 'Start of the client', circuit: 'Circuit', exit: 'Last relay', connect: 'Destination', answer: 'Answer' };
const positionWords = { guard: 'Guard', middle: 'Middle', last: 'Last' };
const stateTags = { waiting: ['waiting', 'warn'], connecting: ['connecting', 'warn'], open: ['open', 'good'], closed: ['closed', ''], failed: ['failed', 'bad'] };
// sentence gives a text of the daemon the form of one: some come as a part of one.
const sentence = (text) => (text ? capital(text) + (/[.!?:]$/.test(text) ? '' : '.') : text);
const capital = (text) => (text ? text[0].toUpperCase() + text.slice(1) : '');
const wasBad = (s) => s.state === 'failed' || s.slow;

// ---- Pieces ----

const relayName = (rid) => h('span', { class: 'mono', title: rid }, short(rid));
const tag = (text, kind) => h('span', { class: `tag ${kind ?? ''}` }, text);
const facts = (...rows) => h('dl', { class: 'facts' }, rows.filter((r) => r && r[1]).map(([name, ...value]) => [h('dt', null, name), h('dd', null, value)]));
const card = (title, ...rest) => h('section', { class: 'card', 'data-key': `card ${title}` }, h('h2', null, title), rest);
const noteWords = { info: 'Note', warning: 'Warning', alarm: 'Alarm', good: 'Done', plain: '' };

function note(n) {
  return h('div', { class: `note ${n.level}`, 'data-key': `note ${n.level} ${n.text}` },
    h('p', null, noteWords[n.level] !== '' && [h('b', null, noteWords[n.level] ?? n.level), ' '], n.time && h('span', { class: 'soft small' }, at(n.time), ' '), sentence(n.text)));
}

function meter(name, used, max) {
  const share = max > 0 ? Math.min(1, used / max) : 0;
  return h('svg', {
    class: `bar ${share >= 0.95 ? 'bad' : share >= 0.8 ? 'warn' : ''}`, viewBox: '0 0 100 8', preserveAspectRatio: 'none',
    role: 'meter', 'aria-label': name, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(share * 100),
  }, h('rect', { width: (share * 100).toFixed(1), height: 8 }));
}

// table makes rows of cells; each cell knows its column's name, for narrow screens.
function table(name, columns, rows, kind) {
  return h('table', { 'aria-label': name, class: kind },
    h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col' }, c)))),
    h('tbody', null, rows.map(([k, ...cells]) => h('tr', { 'data-key': k }, cells.map((c, i) => h('td', { 'data-label': columns[i] }, h('span', null, c)))))));
}

const head = (title, about, ...tools) => h('div', { class: 'head', 'data-key': 'head' }, h('h1', { tabindex: -1 }, title), tools.length > 0 && h('div', { class: 'tools' }, tools), about && h('p', null, about));

// ---- Status ----

function statusView() {
  const { status: s } = now;
  const c = s.client;
  const failed = (now.streams ?? []).filter(wasBad).length;
  return [
    head('Status'),
    c ? clientHero(c) : s.relays.length > 0 && relayHero(s),
    allNotes(s).filter((n) => n.level !== 'info').map(note),
    failed > 0 && h('div', { class: 'note', 'data-key': 'failed' }, h('p', null, `${count(failed, 'stream')} failed or ${failed === 1 ? 'was' : 'were'} slow. `, h('a', { href: '#/streams', 'data-do': 'bad streams' }, 'See why'))),
    c?.traffic && trafficCard(c),
    h('div', { class: 'cards', 'data-key': 'cards' }, listenersCard(s), directoryCard(s)),
  ];
}

// lostHero stands where a state stood that nobody knows now.
function lostHero(s, name, was) {
  return h('section', { class: 'card hero', 'data-key': 'hero', 'aria-label': name },
    h('p', { class: 'big' }, h('span', { class: 'dot' }), h('span', { 'data-name': 'state' }, 'Not known')),
    h('p', { class: 'soft' }, `At ${at(s.time)} it was: ${was}.`));
}

function clientHero(c) {
  if (now.lost) return lostHero(now.status, 'State of the client', clientWords[c.state] ?? c.state);
  const kind = c.state === 'refused' ? 'bad' : !working(c) || c.state === 'stale' || c.text ? 'warn' : 'good';
  return h('section', { class: 'card hero', 'data-key': 'hero', 'aria-label': 'State of the client' },
    h('p', { class: 'big' }, h('span', { class: `dot ${kind}` }), h('span', { 'data-name': 'state' }, clientWords[c.state] ?? c.state)),
    c.percent < 100 && [
      h('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'progressbar', 'aria-label': 'Start', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': c.percent }, h('rect', { width: c.percent, height: 8 })),
      h('p', { class: 'soft num' }, `${c.percent} %`, c.tag && ` · ${c.tag.replaceAll('_', ' ')}`, c.cause && !c.text && ` · stands still: ${c.cause.replaceAll('_', ' ')}`),
    ],
    c.text && note({ level: 'warning', text: c.text }),
    c.cause && c.percent >= 100 && h('p', { class: 'soft small', 'data-name': 'cause' }, `Cause: ${c.cause.replaceAll('_', ' ')}.`),
    c.fix && h('p', { class: 'soft', 'data-name': 'fix' }, `What to do: ${sentence(c.fix)}`),
    c.clock && note({ level: 'warning', text: c.clock }),
    working(c) && h('p', { class: 'soft' }, `${count(c.circuits.length, 'circuit')} open, ${count(c.traffic?.streams ?? c.circuits.reduce((n, q) => n + q.streams, 0), 'stream')} through them.`.replace(' 0 streams', ' no stream')));
}

function relayHero(s) {
  const good = s.relays.every((r) => r.listed && r.running);
  const text = s.relays.length > 1 ? `${count(s.relays.length, 'relay')} in this process` : relayStands(s.relays[0]);
  if (now.lost) return lostHero(s, 'State of the relay', text);
  const kind = good ? 'good' : s.relays.every((r) => joins(r) || (r.listed && r.running)) ? '' : 'warn';
  return h('section', { class: 'card hero', 'data-key': 'hero', 'aria-label': 'State of the relay' },
    h('p', { class: 'big' }, h('span', { class: `dot ${kind}` }), h('span', { 'data-name': 'state' }, text)),
    s.relays.length === 1 && joins(s.relays[0]) && h('p', { class: 'soft' }, sentence(s.relays[0].joining)));
}

// allNotes are the notes of all parts, each said once, the heaviest first.
function allNotes(s) {
  const weight = { alarm: 0, warning: 1, info: 2 };
  const seen = new Map();
  const add = (n) => seen.has(n.text) || seen.set(n.text, n);
  if (s.disk) add({ level: 'warning', text: `${sentence(s.disk)} Make room on it: without, lists of relays and keys cannot be kept.` });
  for (const part of [s.client, ...s.relays]) {
    if (!part) continue;
    part.directory.notes.forEach((n) => add(joins(part) ? newcomerNote(n) : n));
    if (part.directory.alarm) add({ level: 'alarm', text: part.directory.alarm.text });
  }
  return [...seen.values()].sort((a, b) => (weight[a.level] ?? 2) - (weight[b.level] ?? 2));
}

// joins says whether a relay is on its way to the list, with nothing wrong about it.
const joins = (r) => Boolean(r.joining) && !r.listed && r.reachable?.state !== 'no';

// newcomerNote is a note to a relay that joins: who is not on the list is sent none yet.
const newcomerNote = (n) => (n.code === 'stalled' && n.level === 'warning' ? { ...n, level: 'info', text: `This relay is joining, and has not been sent the newest list yet. If it stays so: ${n.text}` } : n);

function listenersCard(s) {
  const kinds = { socks: 'SOCKS and HTTP proxy', dns: 'DNS', web: 'This page', metrics: 'Metrics', relay: 'Relay' };
  const list = s.listeners ?? [];
  return card('Listeners', list.length === 0
    ? h('p', { class: 'soft' }, 'The daemon names none.')
    : facts(...list.map((l) => [kinds[l.kind] ?? l.kind, h('code', null, l.address), l.text && h('p', { class: 'soft small' }, l.text)])));
}

function directoryCard(s) {
  const d = (s.client ?? s.relays[0])?.directory;
  if (!d) return null;
  const k = d.committee;
  return card('List of relays',
    d.freshness && h('p', null, sentence(d.freshness)),
    facts(
      ['Network', s.network.name, s.network.testnet && ' (testnet)'],
      ['Epoch', `${d.epoch}`, d.current_epoch !== d.epoch && `, now is ${d.current_epoch}`],
      ['Relays', `${d.relays}, of them ${d.running} running: ${count(d.guards, 'guard')}, ${count(d.exits, 'exit')}`],
      ['Agreed by', k.members > 0 && `${count(k.members, 'relay')} in ${count(k.networks, 'network')}; ${k.majority} change it, ${k.quorum} sign it`],
      ['Checked', d.checked && `${since(d.checked, s.time)} ago against relays apart`],
    ),
    allNotes(s).filter((n) => n.level === 'info').map(note));
}

// ---- Traffic ----

function sample(s) {
  const t = s.client?.traffic;
  if (!t) return;
  const moment = performance.now() / 1000;
  const list = now.samples;
  const last = list.at(-1);
  if (last && (t.up_bytes_total < last.up || t.down_bytes_total < last.down)) list.length = 0; // the daemon began anew
  if (last && moment - last.at < 0.9) return;
  list.push({ at: moment, up: t.up_bytes_total, down: t.down_bytes_total });
  while (list.length > 1 && moment - list[0].at > graphTime + 10) list.shift();
}

function trafficCard(c) {
  const list = now.samples;
  const points = [];
  for (let i = 1; i < list.length; i++) {
    const took = list[i].at - list[i - 1].at;
    points.push({ at: list[i].at, up: (list[i].up - list[i - 1].up) / took, down: (list[i].down - list[i - 1].down) / took });
  }
  const last = points.at(-1) ?? { up: 0, down: 0 };
  const peak = Math.max(1024, ...points.flatMap((p) => [p.up, p.down]));
  let top = 1024;
  while (top < peak) top *= Math.log2(top) % 1 === 0 ? 1.5 : 4 / 3; // 1, 1.5, 2, 3, 4, 6 and so on
  const end = list.at(-1)?.at ?? 0;
  const x = (p) => (300 + ((p.at - end) / graphTime) * 300).toFixed(1);
  const y = (v) => (100 - (v / top) * 100).toFixed(1);
  const line = (of) => points.map((p, i) => `${i ? 'L' : 'M'}${x(p)} ${y(p[of])}`).join('');
  const area = points.length > 1 && `${line('down')}L${x(points.at(-1))} 100L${x(points[0])} 100Z`;
  const rate = (name, v, of, up) => h('div', null, h('span', { class: `what ${up ? 'is-up' : ''}` }, name), h('span', { class: 'value', 'data-name': of }, now.lost ? '–' : `${bytes(v)}/s`));
  return h('section', { class: 'card', 'data-key': 'traffic' },
    h('div', { class: 'row' }, h('h2', null, 'Traffic'), h('p', { class: 'soft small num' }, `${bytes(c.traffic.down_bytes_total)} down, ${bytes(c.traffic.up_bytes_total)} up since the start`)),
    h('div', { class: 'rates' }, rate('Down', last.down, 'down'), rate('Up', last.up, 'up', true)),
    h('figure', { class: 'plot' },
      h('svg', { viewBox: '0 -2 300 104', preserveAspectRatio: 'none', role: 'img', 'aria-label': now.lost ? `Traffic until the daemon stopped answering; at most ${bytes(peak)} a second.` : `Traffic of the last five minutes. Now ${bytes(last.down)} a second down, ${bytes(last.up)} up; at most ${bytes(peak)}.` },
        [0, 50, 100].map((v) => h('line', { class: 'grid', x1: 0, x2: 300, y1: v, y2: v })),
        area && h('path', { class: 'fill', d: area }),
        points.length > 1 && [h('path', { class: 'down', d: line('down') }), h('path', { class: 'up', d: line('up') })]),
      h('div', { class: 'scale num', 'aria-hidden': 'true' }, [top, top / 2, 0].map((v) => h('span', null, v ? `${bytes(v).replace('.0', '')}/s` : '0'))),
      h('div', { class: 'when', 'aria-hidden': 'true' }, h('span', null, now.lost ? '' : '5 min ago'), h('span', null, now.lost ? 'last answer' : 'now'))));
}

// ---- Circuits ----

function circuitsView() {
  const { status: s } = now;
  const c = s.client;
  return [
    head('Circuits', 'Each carries streams of one identity through relays chosen for it. No relay in one knows both you and the destination.',
      h('button', { type: 'button', class: 'main', 'data-do': 'new identity' }, 'New identity…')),
    c.circuits.length === 0 && h('p', { class: 'card soft', 'data-key': 'none' }, working(c) ? 'No circuit is open.' : 'No circuit is open yet: the client is starting.'),
    c.circuits.map((q, i) => circuitCard(s, q, i)),
    c.guards.length > 0 && card('Guards', h('p', { class: 'soft' }, 'The relays through which this client enters, kept for long: who rolls the dice often meets a bad one.'),
      table('Guards', ['Relay', 'State', 'Until', 'Why'], c.guards.map((g) => [g.rid, relayName(g.rid), g.state, g.until ? until(g.until, s.time) : '', sentence(g.why)]), 'firm')),
  ];
}

function circuitCard(s, q, i) {
  const on = (now.streams ?? []).filter((t) => q.id && t.circuit_id === q.id && t.state !== 'closed' && t.state !== 'failed');
  const title = q.purpose ? `Built for ${q.purpose}` : 'Circuit';
  return h('section', { class: 'card circuit', 'data-key': `circuit ${q.id ?? i}` },
    h('div', { class: 'row whole' },
      h('div', { class: 'tools' }, h('h2', null, title), tag(q.streams > 0 ? count(q.streams, 'stream') : q.in_use ? 'no stream now' : 'not used yet', q.streams > 0 ? 'good' : ''),
        h('span', { class: 'soft small' }, h('span', { class: 'one' }, `open for ${since(q.opened, s.time)}`), q.took_seconds > 0 && [', ', h('span', { class: 'one' }, `built in ${lasts(q.took_seconds)}`)])),
      q.id && h('button', { type: 'button', 'data-do': 'close circuit', 'data-id': q.id, 'aria-label': `Close this circuit: ${title}, through ${q.hops.map((p) => short(p.rid)).join(', ')}` }, 'Close…')),
    h('ol', { class: 'path', 'aria-label': 'Path' },
      h('li', null, h('span', { class: 'stop end' }, 'You')),
      q.hops.map((p) => h('li', null, h('span', { class: 'stop' }, h('span', { class: 'what' }, positionWords[p.position] ?? p.position), relayName(p.rid)))),
      h('li', null, h('span', { class: 'stop end' }, 'Destination'))),
    on.length > 0 && h('p', { class: 'used' }, on.map((t) => tag(t.target))),
    h('details', { class: 'more' }, h('summary', null, 'Why these relays'),
      h('p', { class: 'soft small' }, `From the list of epoch ${q.epoch}.`),
      h('ul', { class: 'why' }, q.hops.map((p) => h('li', null, h('span', { class: 'soft' }, positionWords[p.position] ?? p.position), relayName(p.rid), h('span', null, sentence(p.why)))))));
}

// ---- Streams ----

function streamsView() {
  const list = now.streams;
  const kinds = { open: (s) => s.state !== 'failed' && s.state !== 'closed', bad: wasBad, all: () => true };
  const names = { all: 'Both', open: 'Open', bad: 'Failed or slow' };
  const shown = (list ?? []).filter(kinds[now.show]);
  return [
    head('Streams', 'What your programs ask for: streams that are open, and the last 200 that failed or were slow, which is over 10 s to connect. What ended well is not kept. All this stays in memory, and is forgotten with a new identity.',
      h('div', { class: 'choice', role: 'group', 'aria-label': 'Show' }, Object.keys(kinds).map((k) => h('button', { type: 'button', 'data-do': 'show', 'data-id': k, 'aria-pressed': String(now.show === k) }, names[k])))),
    list === null && h('p', { class: 'card soft', 'data-key': 'none' }, 'This daemon tells of no streams.'),
    list !== null && shown.length === 0 && h('div', { class: 'card soft', 'data-key': 'none' }, now.show === 'bad' ? h('p', null, 'Nothing failed, and nothing was slow.') : emptyStreams()),
    shown.length > 0 && h('ul', { class: 'card streams', 'data-key': 'streams' }, shown.map(streamRow)),
  ];
}

function emptyStreams() {
  const proxy = (now.status.listeners ?? []).find((l) => l.kind === 'socks');
  return h('p', null, now.show === 'open' ? 'No stream is open. ' : 'No stream is open, and none failed or was slow. ',
    proxy && ['Point a program at ', h('code', null, `socks5h://${proxy.address}`), '.']);
}

function streamRow(s) {
  const [word, kind] = stateTags[s.state] ?? [s.state, ''];
  const figures = [s.took_seconds > 0 && lasts(s.took_seconds), (s.up_bytes > 0 || s.down_bytes > 0) && `${bytes(s.down_bytes)} down, ${bytes(s.up_bytes)} up`].filter(Boolean).join(' · ');
  return h('li', { 'data-key': `stream ${s.id}` }, h('details', { class: 'stream' },
    h('summary', null,
      h('span', { class: 'state' }, s.slow && s.state !== 'failed' ? tag(`${word}, slow`, 'warn') : tag(word, kind)),
      h('span', { class: 'target' }, s.target, s.kind !== 'connect' && h('span', { class: 'soft small' }, ` ${s.kind}`)),
      h('span', { class: 'figures' }, figures || (s.reason ?? '').replaceAll('_', ' ')),
      h('span', { class: 'age' }, `${since(s.began, now.status.time)} ago`)),
    story(s)));
}

function story(s) {
  const q = now.status.client?.circuits.find((c) => c.id && c.id === s.circuit_id);
  return h('div', { class: 'story' },
    s.text && h('p', null, sentence(s.text)),
    s.fix && h('div', { class: 'note good' }, h('p', null, h('b', null, 'What to do'), ' ', sentence(s.fix))),
    s.tries.length > 0 && h('div', { class: 'stack' }, h('h3', null, 'What happened'), h('ol', { class: 'tries' }, s.tries.map((t) => tryRow(t, q)))),
    facts(
      ['Began', at(s.began)],
      ['Ended', s.ended && at(s.ended)],
      ['Reason', s.reason && h('code', null, s.reason)],
      ['Refused', s.times > 1 && `${s.times} times; this was the last`],
      ['Connected', s.took_seconds > 0 && `after ${lasts(s.took_seconds)}`, s.first_byte_seconds > 0 && `, first byte after ${lasts(s.first_byte_seconds)}`],
      ['Asked at', s.listener && h('code', null, s.listener)],
      ['Circuit', q && [q.hops.map((p, i) => [i > 0 && ' → ', relayName(p.rid)])]],
    ));
}

function tryRow(t, q) {
  const length = q?.hops.length ?? 0;
  const hop = t.hop > 0 && (t.hop === 1 ? 'hop 1, the guard' : t.hop === length ? `hop ${t.hop}, the last` : `hop ${t.hop}`);
  return h('li', { class: t.reason && t.reason !== 'waiting' ? 'bad' : '' },
    h('span', null, phaseWords[t.phase] ?? capital(t.phase), hop && ` · ${hop}`, t.relay && [' · ', relayName(t.relay)], t.reason && [' · ', h('code', null, t.reason)]),
    h('span', { class: 'soft num' }, t.took_seconds > 0 ? lasts(t.took_seconds) : 'at once'),
    t.text && h('p', { class: 'text' }, sentence(t.text)));
}

// ---- Relay ----

function relayStands(r) {
  if (r.drains) return 'Draining: it takes no new circuits, and will end';
  if (r.listed && r.running) return 'On the list and running';
  if (r.listed) return 'On the list, but other relays do not reach it';
  if (joins(r)) return 'Joining: not on the list yet';
  return 'Not on the list yet';
}

function relayView() {
  return [head('Relay', 'What this node does for others: totals only, never whose.'), now.status.relays.map((r) => relayCards(now.status, r))];
}

function relayCards(s, r) {
  const t = r.traffic;
  const reach = { yes: ['good', 'Reachable from outside'], no: ['bad', 'Not reachable from outside'], unknown: ['', 'Reachability not known'] };
  const [kind, words] = reach[r.reachable?.state] ?? reach.unknown;
  return [
    h('section', { class: 'card hero', 'data-key': `relay ${r.rid}`, 'aria-label': 'State of the relay' },
      h('p', { class: 'big' }, h('span', { class: `dot ${now.lost || joins(r) ? '' : r.listed && r.running && !r.drains ? 'good' : 'warn'}` }), h('span', { 'data-name': 'relay' }, now.lost ? 'Not known' : relayStands(r))),
      now.lost && h('p', { class: 'soft' }, `At ${at(s.time)} it was: ${relayStands(r)}.`),
      facts(
        ['Name', [r.nickname, r.name].filter(Boolean).join(', ')],
        ['Identity', h('span', { class: 'mono' }, r.rid)],
        ['Listens at', h('code', null, r.listen)],
        ['Published', r.published.length > 0 && h('code', null, r.published.join(' '))],
        ['Exit', r.exit === 'off' ? 'off: nothing leaves the overlay from here' : r.exit],
        ['Exit permits', r.exit_permits],
        ['Router', r.forwarded],
        ['Age', age(r.age_days, s.network.day_seconds)],
        ['Family', r.family],
        ['Joining', r.joining],
      ),
      [['clock', r.clock], ['store', r.store && `${sentence(r.store)} ${r.store_fix ?? ''}`], ['keys', r.keys && `${sentence(r.keys)} ${r.keys_fix ?? ''}`], ['certificates', r.certificates?.warning], ['overload', r.overload]].filter((x) => x[1]).map(([what, text]) => note({ level: 'warning', text: `${capital(what)}: ${text}` })),
      r.reports.map(note)),
    h('div', { class: 'cards', 'data-key': `cards ${r.rid}` },
      r.reachable && card('Reachability', h('p', null, tag(words, kind)), h('p', null, sentence(r.reachable.text)), r.reachable.checked && h('p', { class: 'soft small' }, `Tested ${since(r.reachable.checked, s.time)} ago`)),
      r.weight && card('Why it gets the traffic it gets', h('p', null, `Chosen for ${percent(r.weight.share)} of the network's load.`), h('p', { class: 'soft' }, sentence(r.weight.why))),
      card('Traffic', facts(
        ['Forwarded', `${forwarded(t.forwarded_bytes_total, 'less than')} since the start`],
        ['Circuits', `${plain.format(t.circuits)} open, ${plain.format(t.circuits_total)} made, ${plain.format(t.circuits_refused_total)} refused`],
        ['Neighbours', plain.format(r.neighbours)],
        ['Ceiling', r.rate_bytes_per_second > 0 && `${round(r.rate_bytes_per_second)}/s each way`, r.rate_use?.binds && [' ', tag('binds now', 'warn')]],
      ), r.rate_use?.text && h('p', { class: 'soft' }, sentence(r.rate_use.text))),
      r.quota && card('Quota', meter('Quota used', r.quota.used_bytes, r.quota.max_bytes), h('p', { class: 'num' }, `${bytes(r.quota.used_bytes)} of ${round(r.quota.max_bytes)} a ${r.quota.period}; anew on ${day(r.quota.ends)}`), r.quota.text && h('p', { class: 'soft' }, r.quota.text)),
      r.memory && card('Memory', meter('Memory used', r.memory.used_bytes, r.memory.max_bytes), h('p', { class: 'num' }, `${bytes(r.memory.used_bytes)} of ${round(r.memory.max_bytes)}`), r.memory.text && h('p', { class: 'soft' }, r.memory.text)),
      card('Committee', h('p', null, r.seat ? (r.abstains ? `A member that takes no part: ${r.abstains}` : 'A member of the committee that agrees on the list now; it takes part.') : 'No member of the committee that agrees on the list now.'), r.directory.committee.signers > 0 && h('p', null, `${r.directory.committee.signed ?? 0} of ${r.directory.committee.signers} have signed the newest list.`), h('p', { class: 'soft' }, sentence(r.directory.freshness)))),
  ];
}

// ---- Network ----

function networkView() {
  const { status: s } = now;
  const newest = Math.max(...s.relays.map((r) => r.directory.epoch));
  const running = s.relays.filter((r) => r.listed && r.running).length;
  const held = s.relays.filter((r) => r.directory.epoch === newest).length;
  const members = s.relays.filter((r) => r.seat).length;
  return [
    head('Network', `${count(s.relays.length, 'relay')} of the network ${s.network.name} run in this process. ${are(running)} running by the list; ${held} ${held === 1 ? 'holds' : 'hold'} the newest list, epoch ${newest}; ${are(members)} in the committee.`),
    h('section', { class: 'card', 'data-key': 'ring' }, h('h2', null, 'Circuits across the network'), ring(s, newest), ringKeys()),
    card('Relays', table('Relays', ['Relay', 'Identity', 'State', 'List', 'Committee', 'Neighbours', 'Circuits', 'Forwarded', 'Exit'], s.relays.map((r) => [r.rid,
      r.name || r.nickname || '', relayName(r.rid), tag(relayWord(r), relayWord(r) === 'running' ? 'good' : 'warn'), `epoch ${r.directory.epoch}`,
      r.seat ? (r.abstains ? 'abstains' : 'yes') : '–', r.neighbours, r.traffic.circuits, forwarded(r.traffic.forwarded_bytes_total, '<'), r.exit]), 'dense')),
    troubles(s.relays).map(note),
  ];
}

// troubles are what relays say of themselves, each said once. What has to be waited for
// at a start is no warning.
function troubles(relays) {
  const said = new Map();
  for (const r of relays) {
    for (const text of [r.joining, r.abstains, r.clock, r.store, r.keys, r.certificates?.warning].filter(Boolean)) {
      const level = (text === r.joining && joins(r)) || (text === r.abstains && !r.directory.current_epoch && !r.clock && !r.store) ? 'info' : 'warning';
      const key = `${level} ${text}`;
      if (!said.has(key)) said.set(key, { level, text, who: [] });
      said.get(key).who.push(r.name || short(r.rid));
    }
  }
  const fewNames = 3;
  const names = (who) => (who.length === relays.length && who.length > 1 ? 'all relays' : who.length > fewNames ? count(who.length, 'relay') : who.join(', '));
  return [...said.values()].map((n) => ({ level: n.level, text: `${names(n.who)}: ${n.text}` }));
}

const relayWord = (r) => (r.listed && r.running ? 'running' : r.listed ? 'not running' : 'not on the list');

function ringKeys() {
  const mark = (kind) => h('svg', { viewBox: '0 0 12 12', class: 'ring', 'aria-hidden': 'true' }, h('circle', { class: kind, cx: 6, cy: 6, r: 4.5 }));
  return h('ul', { class: 'keys' },
    h('li', null, mark('relay'), 'running, newest list'), h('li', null, mark('relay behind'), 'running, older list'),
    h('li', null, mark('relay off'), 'not running'), h('li', null, mark('relay fresh'), 'not on the list'), h('li', null, mark('you'), 'you'));
}

// ring draws the relays on a circle with the client in the middle, and its circuits. The
// drawing within scales with the page; the names around it do not, so that they can be
// read on a narrow screen too. Where they would touch some are left out: the table below
// has all.
function ring(s, newest) {
  const n = s.relays.length;
  const [radius, wide, high, top] = [115, 400, 292, 54]; // of the drawing
  const place = new Map(s.relays.map((r, i) => [r.rid, (i / n) * 2 * Math.PI - Math.PI / 2]));
  const spot = (angle, r) => [200 + r * Math.cos(angle), 200 + r * Math.sin(angle)];
  const point = (angle) => spot(angle, radius).map((v) => v.toFixed(1)).join(' ');
  const lines = (s.client?.circuits ?? []).map((q) => {
    const stops = q.hops.map((p) => place.get(p.rid)).filter((a) => a !== undefined);
    let d = 'M200 200';
    stops.forEach((a, i) => { d += i === 0 ? `L${point(a)}` : `Q200 200 ${point(a)}`; });
    return h('path', { class: 'line', d });
  });
  const kind = (r) => (relayWord(r) === 'running' ? (r.directory.epoch === newest ? '' : 'behind') : r.listed ? 'off' : 'fresh');
  const name = (r, i) => {
    if (i % Math.ceil(n / 24) > 0) return null;
    const a = place.get(r.rid);
    const [x, y] = spot(a, radius + 8);
    const [side, down] = [Math.cos(a), Math.sin(a)];
    return h('text', {
      class: i % Math.ceil(n / 12) > 0 && 'spare', x: `${((x / wide) * 100).toFixed(2)}%`, y: `${(((y - top) / high) * 100).toFixed(2)}%`, dx: (side * 5).toFixed(1), dy: (down * 9).toFixed(1),
      'text-anchor': side > 0.2 ? 'start' : side < -0.2 ? 'end' : 'middle', 'dominant-baseline': 'middle',
    }, (r.name || short(r.rid)).slice(0, 8));
  };
  return h('svg', { class: 'ring', role: 'img', 'aria-label': `${count(n, 'relay')} on a ring, with ${count(lines.length, 'circuit')} of this client; the table below says the same.` },
    h('svg', { viewBox: `0 ${top} ${wide} ${high}`, width: '100%', height: '100%' },
      lines,
      s.relays.map((r) => {
        const [cx, cy] = point(place.get(r.rid)).split(' ');
        return h('g', null, h('title', null, `${r.name || short(r.rid)}: ${relayWord(r)}, epoch ${r.directory.epoch}`),
          h('circle', { class: `relay ${kind(r)}`, cx, cy, r: n > 60 ? 3 : 6 }));
      }),
      s.client && h('circle', { class: 'you', cx: 200, cy: 200, r: 6 })),
    s.relays.map(name));
}

// ---- Settings ----

function settingsView() {
  if (!now.settings) return [head('Settings', 'This process read no configuration: what it does was said on its command line. chive testnet up --help has what can be said there.')];
  const find = now.find.trim().toLowerCase();
  const shown = now.settings.filter((x) => (!now.changed || x.origin !== 'default') && (!find || `${x.key} ${x.value}`.toLowerCase().includes(find)));
  return [
    head('Settings', 'What is in force, and where each value comes from. To change one, edit the configuration file and reload.',
      h('input', { type: 'search', placeholder: 'Find', 'aria-label': 'Find a setting', 'data-input': 'find', autocomplete: 'off', spellcheck: 'false' }),
      h('label', { class: 'check' }, h('input', { type: 'checkbox', 'data-input': 'changed' }), 'Only changed ones')),
    shown.length === 0 ? h('p', { class: 'card soft', 'data-key': 'none' }, 'No setting is like that.')
      : h('section', { class: 'card', 'data-key': 'settings' }, table('Settings', ['Key', 'Value', 'From'], shown.map((x) => [x.key, h('code', null, x.key), h('code', null, x.value), x.origin === 'default' ? h('span', { class: 'soft' }, 'default') : x.origin]))),
  ];
}

// ---- Frame ----

// views are those that there is something to show in.
function views() {
  const s = now.status;
  return [
    ['status', 'Status', statusView, true],
    ['circuits', 'Circuits', circuitsView, s?.client, s?.client?.circuits.length],
    ['streams', 'Streams', streamsView, s?.client, now.streams?.length],
    ['relay', 'Relay', relayView, s?.relays.length === 1],
    ['network', 'Network', networkView, s?.relays.length > 1, s?.relays.length],
    ['settings', 'Settings', settingsView, now.settings !== undefined],
  ].filter((v) => v[3]);
}

let said = '';

function render() {
  const main = $('main');
  const s = now.status;
  const all = now.secret && s ? views() : [];
  const view = all.find((v) => v[0] === now.view) ?? all[0];
  main.classList.toggle('lost', Boolean(now.lost && all.length > 0));
  patch($('nav'), all.length === 0 ? [] : [h('ul', null, all.map(([id, name, , , n]) => h('li', { 'data-key': id }, h('a', { href: `#/${id}`, 'aria-current': view[0] === id && 'page' }, name, n > 0 && !now.lost && h('span', { class: 'count', 'aria-hidden': 'true' }, n)))))]);
  patch($('foot'), s && now.secret ? [h('span', null, `${s.network.name}${s.network.testnet ? ' (testnet)' : ''}`), s.version && h('span', null, `Version ${s.version}`), h('button', { type: 'button', class: 'quiet', 'data-do': 'sign out' }, 'Sign out')].filter(Boolean) : []);
  if (!now.secret) {
    patch(main, [lockedView()]);
    document.title = 'chive';
    return;
  }
  if (!s) {
    patch(main, [h('p', { class: 'soft', 'data-key': 'wait' }, now.lost ? 'The daemon does not answer.' : 'Asking the daemon…')]);
    return;
  }
  patch(main, [
    now.lost && h('div', { class: 'fresh', 'data-key': 'lost' }, note({ level: 'alarm', text: 'The daemon does not answer; what is shown here is how it last was. If it was stopped, start it again.' })),
    now.notice && h('div', { class: 'fresh', 'data-key': 'notice' }, note(now.notice)),
    ...view[2]().flat(Infinity),
  ].filter(Boolean));
  document.title = `${view[1]} · chive`;
  announce(s);
}

// announce says changes of the state to who does not look at the page.
function announce(s) {
  const words = [];
  if (now.lost) words.push('The daemon does not answer');
  else if (s.client) words.push(s.client.percent < 100 ? `Start: ${Math.floor(s.client.percent / 25) * 25} percent` : clientWords[s.client.state] ?? s.client.state);
  const alarms = allNotes(s).filter((n) => n.level === 'alarm').length;
  if (alarms > 0) words.push(count(alarms, 'alarm'));
  const text = words.join('. ');
  if (text !== said) {
    said = text;
    $('says').textContent = text;
  }
}

function lockedView() {
  return h('section', { class: 'card locked', 'data-key': 'locked' }, h('h1', { tabindex: -1 }, 'Open this page with a fresh address'),
    now.refused && note(now.refused),
    h('p', null, 'So that nobody else on this machine sees your circuits, each address of this page is good once and for a minute. Have a new one printed:'),
    h('pre', { tabindex: 0 }, 'chive status --web'),
    h('p', null, 'If the daemon runs with a state folder that was named, name it here, too: ', h('code', null, 'chive status --web --state DIR')));
}

// ---- Asking the daemon ----

class Refused extends Error {
  constructor(status, object) {
    super(object?.text ?? 'The daemon refused');
    this.status = status;
    this.code = object?.code;
    this.fix = object?.fix;
  }
}

async function ask(path, method = 'GET', body) {
  const headers = { 'X-Chive-Absent': 'empty' }; // what this daemon lacks answers 204: a browser writes each 404 to its console
  if (now.secret) headers.Authorization = `Bearer ${now.secret}`;
  if (body) headers['Content-Type'] = 'application/json';
  const r = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store', credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(10000) });
  const object = r.status === 204 ? null : await r.json().catch(() => null);
  if (!r.ok) throw new Refused(r.status, object);
  return object;
}

function lock(why, level = 'warning') {
  sessionStorage.removeItem(key);
  hangUp.abort();
  Object.assign(now, { secret: null, refused: { level, text: why }, status: null, streams: null, settings: undefined, samples: [], notice: null });
  if ($('ask').open) $('ask').close();
  render();
}

// whole gives a status the lists that it lacks.
function whole(s) {
  s.relays ??= [];
  for (const part of [s.client, ...s.relays]) if (part) part.directory.notes ??= [];
  for (const r of s.relays) { r.published ??= []; r.reports ??= []; }
  if (s.client) {
    s.client.guards ??= [];
    s.client.circuits ??= [];
    for (const q of s.client.circuits) q.hops ??= [];
  }
  return s;
}

let looking = false;
let again = false;

// look asks for everything that the page shows, and shows it.
async function look() {
  if (!now.secret) return;
  if (looking) { again = true; return; }
  looking = true;
  try {
    const s = whole(await ask('/v1/status'));
    const streams = s.client ? await ask('/v1/streams') : null;
    if (now.view === 'settings' || now.settings === undefined) now.settings = (await ask('/v1/config'))?.settings ?? null;
    if (!now.secret) return;
    Object.assign(now, { status: s, streams: streams?.streams ?? null, lost: false });
    sample(s);
    render();
  } catch (e) {
    if (e instanceof Refused && (e.status === 401 || e.status === 429)) lock(e.message + '.');
    else if (now.secret) { now.lost = true; render(); }
  } finally {
    looking = false;
    if (again) { again = false; soon(); }
  }
}

let planned = null;

// soon looks once after a burst of events.
function soon() {
  planned ??= setTimeout(() => { planned = null; look(); }, 250);
}

let hangUp = new AbortController();

// follow reads the events, again and again. Without them the page looks now and then.
async function follow() {
  hangUp.abort();
  hangUp = new AbortController();
  const { signal } = hangUp;
  for (let wait = 1000; !signal.aborted && now.secret; wait = Math.min(wait * 2, 30000)) {
    try {
      const r = await fetch('/v1/events', { headers: { 'Authorization': `Bearer ${now.secret}`, 'X-Chive-Absent': 'empty' }, cache: 'no-store', credentials: 'omit', redirect: 'error', signal });
      if (r.status === 204) return;
      if (r.ok) {
        const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let rest = ''; ;) {
          const { value, done } = await reader.read();
          if (done) break;
          const lines = (rest + value).split('\n');
          rest = lines.pop();
          if (lines.some((l) => l.startsWith('data: '))) { wait = 1000; soon(); }
        }
      }
    } catch { /* looked after by the next round */ }
    if (!signal.aborted) await new Promise((done) => { setTimeout(done, wait); });
  }
}

// ---- What the user does ----

let noticed = null;

function notice(level, text) {
  now.notice = { level, text };
  $('says').textContent = text;
  clearTimeout(noticed);
  noticed = setTimeout(() => { now.notice = null; render(); }, 8000);
  render();
}

async function act(path, method, done) {
  try {
    await ask(path, method);
    if (done) notice('good', done);
    look();
  } catch (e) {
    if (e instanceof Refused && e.status === 401) lock(e.message + '.');
    else notice('warning', e instanceof Refused ? `${e.message}. ${e.fix ?? ''}` : 'The daemon does not answer.');
  }
}

// confirm asks before what cannot be undone.
function confirm(title, text, yes, then) {
  const d = $('ask');
  const back = document.activeElement;
  patch(d, [h('div', null, h('h2', { id: 'ask-title' }, title), h('p', { class: 'soft' }, text),
    h('div', { class: 'tools' }, h('button', { type: 'button', 'data-do': 'dismiss' }, 'Cancel'), h('button', { type: 'button', class: 'main', 'data-do': 'agree' }, yes)))]);
  d.onclose = () => { const agreed = d.returnValue === 'yes'; d.returnValue = ''; if (back?.isConnected) back.focus(); if (agreed) then(); };
  d.showModal();
}

const actions = {
  'skip': (e) => { e.preventDefault(); $('main').focus(); },
  'show': (e, id) => { now.show = id; render(); },
  'bad streams': () => { now.show = 'bad'; },
  'dismiss': () => $('ask').close('no'),
  'agree': () => $('ask').close('yes'),
  'sign out': async () => { await ask('/v1/session', 'DELETE').catch(() => null); lock('You have signed out.', 'plain'); },
  'new identity': () => confirm('Begin a new identity?', 'Streams from now on share no circuit with those before. Open streams go on. Addresses given for names, and the stories of streams, are forgotten.', 'New identity',
    () => act('/v1/newnym', 'POST', 'A new identity has begun.')),
  'close circuit': (e, id) => confirm('Close this circuit?', 'The streams on it end at once. Programs that try again get another circuit.', 'Close circuit',
    () => act(`/v1/circuits/${encodeURIComponent(id)}/close`, 'POST', 'The circuit was closed.')),
};

document.addEventListener('click', (e) => {
  const on = e.target instanceof Element && e.target.closest('[data-do]');
  if (on) actions[on.dataset.do]?.(e, on.dataset.id);
});

document.addEventListener('input', (e) => {
  const what = e.target.dataset?.input;
  if (what === 'find') now.find = e.target.value;
  else if (what === 'changed') now.changed = e.target.checked;
  else return;
  render();
});

addEventListener('hashchange', () => {
  if (takeToken()) return;
  now.view = location.hash.replace(/^#\//, '') || 'status';
  Object.assign(now, { notice: null, find: '', changed: false });
  render();
  scrollTo(0, 0);
  document.querySelector('main h1')?.focus();
  if (now.view === 'settings') look();
});

document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });

// takeToken trades the token of the address for a session, and takes it out of the
// address and the history at once.
function takeToken() {
  const m = /^#token=([A-Za-z0-9_-]{1,128})$/.exec(location.hash);
  if (!m) return false;
  history.replaceState(null, '', '/#/status');
  now.view = 'status';
  ask('/v1/session', 'POST', { token: m[1] }).then((got) => {
    sessionStorage.setItem(key, got.secret);
    hangUp.abort();
    now.secret = got.secret;
    begin();
  }, (e) => {
    if (now.secret) begin(); // the session that was there goes on
    else { now.refused = { level: 'warning', text: e instanceof Refused ? e.message + '.' : 'The daemon does not answer.' }; render(); }
  });
  return true;
}

function begin() {
  render();
  look();
  follow();
}

now.secret = sessionStorage.getItem(key);
setInterval(look, pollTime);
if (!takeToken()) {
  now.view = location.hash.replace(/^#\//, '') || 'status';
  begin();
}
