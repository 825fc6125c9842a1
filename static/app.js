// What pages do beyond HTML: nothing that cannot be done without it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const parsed = html => new DOMParser().parseFromString(html, 'text/html');

// Makes `old` like `fresh` in place, so that focus, selection, choices and open details stay as they are.
const THEIRS = ['open', 'selected'];
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
  if (old.nodeType !== 1) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  if (old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !THEIRS.includes(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !THEIRS.includes(name)) old.setAttribute(name, value);
  const byId = new Map([...old.children].filter(child => child.id).map(child => [child.id, child]));
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, at) => {
    const known = byId.get(child.id);
    if (known && known !== old.childNodes[at]) old.insertBefore(known, old.childNodes[at] ?? null);
    if (old.childNodes[at]) morph(old.childNodes[at], child); else old.append(child);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function put(id, html) {
  const old = document.getElementById(id), fresh = parsed(html).body.firstElementChild;
  if (!old || !fresh) return;
  // What follows from what somebody types is worked out with that.
  const form = old.closest('[data-after]') && old.closest('form[data-preview]');
  if (form && (form === unsaved || $('[aria-invalid]', form))) return preview(form);
  const held = document.activeElement;
  morph(old, document.adoptNode(fresh));
  if (held !== document.activeElement && held.isConnected) held.focus({ preventScroll: true });
}

// Live: a stream while the page can be seen. Hidden pages hold no connection, of which a browser has few.
const chip = $('#live'), pause = $('#pause');
if (chip && window.EventSource) {
  const LOST_MS = 15000, word = chip.lastElementChild, old = $('#old');
  let source, heard = Date.now(), paused = false, ended = false;
  const hear = () => { heard = Date.now(); tell(); };
  const close = () => { source?.close(); source = null; };
  const open = () => {
    close();
    const url = '/live?on=' + encodeURIComponent(chip.dataset.on);
    source = new EventSource(url);
    // A refusal does not say why. Whoever is signed out is sent to sign in.
    source.onerror = async () => {
      if (source?.readyState !== 2) return;
      const asked = new AbortController(), by = { redirect: 'manual', signal: asked.signal };
      const answer = await fetch(url, by).catch(() => null);
      ended = answer?.type === 'opaqueredirect';
      asked.abort();
      if (ended) { close(); tell(); }
    };
    source.onmessage = event => {
      const isBack = document.body.classList.contains('stale');
      for (const [id, html] of JSON.parse(event.data)) put(id, html);
      if (isBack) refresh();
      decorate();
      hear();
    };
    source.addEventListener('beat', hear);
    source.addEventListener('said', event => { $('#said').textContent = parsed(JSON.parse(event.data)).body.textContent; });
  };
  // What nobody heard of for a while is no state: shape and word of every badge say so.
  const stale = () => {
    if (document.body.classList.contains('stale')) return;
    document.body.classList.add('stale');
    const none = $('#no-data').content.firstElementChild;
    for (const badge of $$('main .st')) { badge.className = none.className; badge.innerHTML = none.innerHTML; }
  };
  // What the stream does not bring again comes with the page; where somebody fills it in, it stays without data.
  const refresh = () => {
    document.body.classList.remove('stale');
    if (!unsaved) again();
  };
  const tell = () => {
    const silent = Date.now() - heard, lost = ended || !paused && silent > LOST_MS;
    chip.classList.toggle('lost', lost);
    chip.classList.toggle('paused', paused);
    const since = clock(new Date(heard));
    word.textContent = ended ? chip.dataset.ended
      : paused ? chip.dataset.paused
      : lost ? chip.dataset.lost.replace('{time}', since)
      : chip.dataset.live.replace('{s}', Math.round(silent / 1000));
    old.hidden = !lost;
    if (lost) { stale(); $('p', old).textContent = (ended ? old.dataset.ended : old.dataset.said).replace('{time}', since); }
    $('a', old).hidden = !ended;
    pause.hidden = ended;
    // A refusal ends an EventSource for good: try again as it does itself after an interruption.
    if (!paused && !document.hidden && source?.readyState === 2 && Math.round(silent / 1000) % 5 === 0) open();
  };
  pause.onclick = () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', paused);
    if (paused) close(); else { heard = Date.now(); open(); }
    tell();
  };
  addEventListener('visibilitychange', () => {
    if (paused || ended) return;
    if (document.hidden) close(); else { heard = Date.now(); open(); }
  });
  addEventListener('pagehide', close);
  chip.hidden = pause.hidden = false;
  open();
  setInterval(tell, 1000);
}

// Search: what the search page shows, in a dialog. Arrows go through the results, Enter opens the first.
const find = $('.find');
function palette() {
  const dialog = document.body.appendChild(document.createElement('dialog'));
  const field = document.createElement('input'), list = document.createElement('div'), name = $('span', find).textContent;
  dialog.className = 'sheet palette';
  dialog.setAttribute('aria-label', name);
  field.setAttribute('aria-label', name);
  dialog.append(field, list);
  let turn = 0;
  const load = field.oninput = async () => {
    const mine = ++turn;
    const page = await get('/search?q=' + encodeURIComponent(field.value)), found = page?.querySelector('#results');
    if (found && mine === turn) list.innerHTML = found.innerHTML;
  };
  dialog.onkeydown = event => {
    const links = $$('a', list), at = links.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) (links[at + step] ?? (step < 0 ? field : null))?.focus();
    else if (event.key === 'Enter' && at < 0) links[0]?.click();
    else return;
    event.preventDefault();
  };
  dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
  return () => { if (!dialog.open) dialog.showModal(); field.select(); load(); };
}
let openPalette;
const search = () => (openPalette ??= palette())();
if (find && window.HTMLDialogElement) find.onclick = event => { event.preventDefault(); search(); };

// A page as the server makes it, to take parts of; nothing when it cannot be had.
async function get(path) {
  try {
    const answer = await fetch(path, { headers: { 'X-Requested-With': 'script' } });
    return answer.ok && !answer.redirected ? parsed(await answer.text()) : null;
  } catch { return null; }
}

// The page as it is by now.
async function again() {
  const page = await get(location.href);
  if (page && !unsaved) { morph($('main'), document.adoptNode($('main', page))); decorate(); }
}

// Keys: single ones only for those who turned them on.
const PLACES = { o: '/', n: '/names', p: '/pools', r: '/regions', h: '/history', a: '/audit' };
let going = false;
addEventListener('keydown', event => {
  const { key, target } = event, control = event.ctrlKey || event.metaKey;
  if (control && key.toLowerCase() === 'k' && find) { event.preventDefault(); return search(); }
  if (control && key === 'Enter') return ($('.dock a.primary') ?? $('.dock .primary'))?.click();
  if (control || event.altKey || localStorage.getItem('keys') === null || target.closest('input,textarea,select,dialog')) return;
  const row = () => { const rows = $$('main td a.name'); return [rows, rows.indexOf(document.activeElement)]; };
  // Only where the menu leads.
  const place = going && PLACES[key] && $(`nav a[href="${PLACES[key]}"]`);
  if (place) place.click();
  else if (key === '?') location.href = '/keys';
  else if (key === '/') { event.preventDefault(); $('main input[type=search]')?.focus(); }
  // Drains what the row or the page is about; explains what the page is about. Both only open the page that asks.
  else if (key === 'd') ($('a[href^="/pools/"][href$="/drain"]', target.closest('tr') ?? $('main')) ?? drainOf(target.closest('tr')))?.click();
  else if (key === 'e') ($('main a[href^="/explain"]') ?? $('nav a[href="/explain"]'))?.click();
  else if (key === 'j') { const [rows, at] = row(); rows[at + 1]?.focus(); }
  else if (key === 'k') { const [rows, at] = row(); rows[at - 1]?.focus(); }
  going = key === 'g';
});

// A row of the list of pools has no link of its own to drain it.
function drainOf(row) {
  const name = row && $('a.name[href^="/pools/"]', row);
  return name && Object.assign(document.createElement('a'), { href: name.href.replace(/[?#].*/, '') + '/drain' });
}

// Menus close with Esc, and when something else is meant.
const shut = except => $$('details.menu[open]').forEach(menu => { if (!menu.contains(except)) menu.open = false; });
addEventListener('click', event => shut(event.target));
addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  const menu = event.target.closest('details.menu[open]');
  shut(null);
  if (menu) $('summary', menu).focus();
});

// The theme, without a reload.
const theme = $('#theme')?.form;
theme?.addEventListener('submit', event => {
  event.preventDefault();
  const root = document.documentElement, next = { undefined: 'light', light: 'dark', dark: '' }[root.dataset.theme] ?? 'light';
  if (next) root.dataset.theme = next; else delete root.dataset.theme;
  const use = $('use', theme);
  use.setAttribute('href', use.getAttribute('href').replace(/#.*/, '#' + ({ light: 'sun', dark: 'moon' }[next] ?? 'monitor')));
  fetch(theme.action, { method: 'POST', body: new URLSearchParams(new FormData(theme)), redirect: 'manual' });
});

// Forms: a slider and its number; parts that follow what is typed; what would be lost.
let unsaved = null;
addEventListener('input', event => {
  const field = event.target, form = field.form;
  if (field.dataset.for) { const number = document.getElementById(field.dataset.for); number.value = field.value; }
  else if (field.id) $$(`[data-for="${CSS.escape(field.id)}"]`).forEach(range => { range.value = field.value; });
  if (form?.method === 'post') unsaved = form;
  if (form?.dataset.preview) preview(form);
});
addEventListener('submit', event => {
  clearTimeout(later);
  if (event.target === unsaved) unsaved = null;
  // One that is answered with a file leaves its page where it is.
  if (event.target.dataset.file !== undefined) setTimeout(again, 2000);
});
addEventListener('beforeunload', event => { if (unsaved?.isConnected && unsaved.dataset.unguarded === undefined) event.preventDefault(); });

// data-preview is the address of the same page; elements with ids in [data-after] come from there.
let later, turn = 0;
function preview(form) {
  clearTimeout(later);
  const mine = ++turn;
  later = setTimeout(async () => {
    const fields = new URLSearchParams(new FormData(form));
    fields.delete('form_token');
    fields.delete('seen');
    const page = await get(form.dataset.preview + '?' + fields);
    for (const old of page && mine === turn ? $$('[data-after]', form) : []) {
      const fresh = page.getElementById(old.id);
      if (fresh) morph(old, document.adoptNode(fresh));
    }
  }, 150);
}

// What was just published can be taken back for a while: how long is left, and then no more.
for (const form of $$('[data-seconds]')) {
  const until = Date.now() + form.dataset.seconds * 1000, left = $('.left', form);
  const tick = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    if (seconds <= 0) { clearInterval(timer); return form.remove(); }
    left.textContent = seconds + ' s';
  };
  const timer = setInterval(tick, 1000);
  tick();
}

// A password that is made up here can be looked at.
for (const field of $$('input[data-show]')) {
  const button = document.createElement('button'), row = document.createElement('div');
  button.type = 'button';
  button.className = 'btn';
  button.textContent = field.dataset.show;
  button.setAttribute('aria-pressed', false);
  row.className = 'shown';
  field.replaceWith(row);
  row.append(field, button);
  button.onclick = () => {
    const hidden = field.type === 'password';
    field.type = hidden ? 'text' : 'password';
    button.setAttribute('aria-pressed', hidden);
  };
}

addEventListener('click', async event => {
  const button = event.target.closest?.('[data-copy]');
  if (!button || event.ctrlKey || event.metaKey) return;
  const from = button.dataset.copy, source = from.startsWith('#') ? $(from) : null;
  const words = source ? source.value ?? source.href ?? source.textContent : from;
  // A link is followed where there is no script to copy it.
  event.preventDefault();
  if (navigator.clipboard) await navigator.clipboard.writeText(words);
  else {
    // Without TLS there is no clipboard but by selecting.
    const field = document.body.appendChild(document.createElement('textarea'));
    field.value = words;
    field.select();
    document.execCommand('copy');
    field.remove();
    button.focus();
  }
  button.classList.add('done');
  setTimeout(() => button.classList.remove('done'), 2000);
});

// Times: local for those who want it, on pages that say so, and what is left until one.
const two = number => String(number).padStart(2, '0'), zone = $('.zone[data-local]');
const isLocal = () => zone && localStorage.getItem('local') !== null;
const clock = at => isLocal() ? two(at.getHours()) + ':' + two(at.getMinutes()) + ':' + two(at.getSeconds()) : at.toISOString().slice(11, 19);
function decorate() {
  const local = isLocal();
  if (zone) {
    zone.dataset.utc ??= zone.textContent;
    zone.textContent = local ? zone.dataset.local.replace('{zone}', Intl.DateTimeFormat().resolvedOptions().timeZone) : zone.dataset.utc;
  }
  for (const time of $$('time[datetime],[data-at]')) {
    time.dataset.utc ??= time.textContent;
    const at = new Date(time.dateTime ?? time.dataset.at), utc = time.dataset.utc;
    const [, written, shown] = /^(.*?)(\d\d:.*)$/.exec(utc) ?? [];
    time.textContent = local && shown && !isNaN(at) ? day(at, written) + clock(at).slice(0, shown.length) : utc;
    if (time.dataset.day) begin(time, local ? at.getTimezoneOffset() / 1440 : 0);
  }
}
// On an axis a day stands where it begins; `late` is by how much of a day that is after UTC's.
function begin(text, late) {
  text.dataset.x ??= text.getAttribute('x');
  const x = parseFloat(text.dataset.x) + late * text.dataset.day;
  text.setAttribute('x', x + '%');
  text.setAttribute('visibility', x < 0 || x > 100 ? 'hidden' : 'visible');
}
// The day as it is written in UTC: 2026-11-21, 11-21, 21 Nov, a word for today, or not at all.
function day(at, written) {
  if (!written) return '';
  if (!/\d/.test(written) && at.toDateString() === new Date().toDateString()) return written;
  const iso = at.getFullYear() + '-' + two(at.getMonth() + 1) + '-' + two(at.getDate());
  if (/^[\d-]+ $/.test(written)) return iso.slice(1 - written.length) + ' ';
  const isKorean = document.documentElement.lang === 'ko';
  const year = /\d{4}/.test(written) ? at.getFullYear() + ' ' : '';
  return isKorean ? iso.slice(5) + ' ' : at.getDate() + ' ' + at.toLocaleDateString('en', { month: 'short' }) + ' ' + year;
}
for (const [name, boxes] of [['keys', '[data-keys]'], ['local', '[data-local]']])
  for (const box of $$(boxes)) {
    box.checked = localStorage.getItem(name) !== null;
    box.onchange = () => { box.checked ? localStorage.setItem(name, '') : localStorage.removeItem(name); decorate(); };
  }
function count() {
  for (const left of $$('[data-until]')) {
    const seconds = Math.max(0, Math.round((new Date(left.dataset.until) - Date.now()) / 1000));
    const [s, min] = document.documentElement.lang === 'ko' ? ['초', '분 '] : [' s', ' min '];
    left.textContent = seconds < 60 ? seconds + s : Math.floor(seconds / 60) + min + two(seconds % 60) + s;
  }
}
decorate();
if ($('[data-until]')) { count(); setInterval(count, 1000); }
