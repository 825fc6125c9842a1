// What pages do beyond HTML: nothing that cannot be done without it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const parsed = html => new DOMParser().parseFromString(html, 'text/html');

// Makes `old` like `fresh` in place, so that focus, selection and open details stay where they are.
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
  if (old.nodeType !== 1) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  if (old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const byId = new Map([...old.children].filter(child => child.id).map(child => [child.id, child]));
  [...fresh.childNodes].forEach((child, at) => {
    const known = byId.get(child.id);
    if (known && known !== old.childNodes[at]) old.insertBefore(known, old.childNodes[at] ?? null);
    if (old.childNodes[at]) morph(old.childNodes[at], child); else old.append(child);
  });
  while (old.childNodes.length > fresh.childNodes.length) old.lastChild.remove();
}

function put(id, html) {
  const old = document.getElementById(id), fresh = parsed(html).body.firstElementChild;
  if (!old || !fresh) return;
  const held = document.activeElement;
  morph(old, document.adoptNode(fresh));
  if (held !== document.activeElement && held.isConnected) held.focus({ preventScroll: true });
}

// Live: a stream while the page can be seen. Hidden pages hold no connection, of which a browser has few.
const chip = $('#live'), pause = $('#pause');
if (chip && window.EventSource) {
  const LOST_MS = 15000, word = chip.lastElementChild, shown = new Map();
  let source, heard = Date.now(), paused = false;
  const hear = () => { heard = Date.now(); tell(); };
  const close = () => { source?.close(); source = null; };
  const open = () => {
    close();
    source = new EventSource('/live?on=' + encodeURIComponent(chip.dataset.on));
    source.onmessage = event => {
      stale(false);
      for (const [id, html] of JSON.parse(event.data)) put(id, html);
      decorate();
      hear();
    };
    source.addEventListener('beat', hear);
    source.addEventListener('said', event => { $('#said').textContent = parsed(JSON.parse(event.data)).body.textContent; });
  };
  // What nobody heard of for a while is no state: shape and word of every badge say so.
  const stale = lost => {
    if (lost === document.body.classList.contains('stale')) return;
    document.body.classList.toggle('stale', lost);
    const none = $('#no-data').content.firstElementChild;
    for (const badge of $$('main .st')) {
      if (lost) shown.set(badge, [badge.className, badge.innerHTML]);
      const [look, inner] = lost ? [none.className, none.innerHTML] : shown.get(badge) ?? [];
      if (look) { badge.className = look; badge.innerHTML = inner; }
    }
    if (!lost) shown.clear();
  };
  const tell = () => {
    const silent = Date.now() - heard, lost = !paused && silent > LOST_MS;
    chip.classList.toggle('lost', lost);
    chip.classList.toggle('paused', paused);
    word.textContent = paused ? chip.dataset.paused
      : lost ? chip.dataset.lost.replace('{time}', new Date(heard).toLocaleTimeString([], { hour12: false }))
      : chip.dataset.live.replace('{s}', Math.round(silent / 1000));
    if (lost) stale(true);
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
    if (paused) return;
    if (document.hidden) close(); else { heard = Date.now(); open(); }
  });
  addEventListener('pagehide', close);
  chip.hidden = pause.hidden = false;
  open();
  setInterval(tell, 1000);
}

function decorate() {}
