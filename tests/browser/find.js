// Finds what a person means by the words that stand on it. arguments: "click" or "fill", and the words. Runs by
// the driver, never in a page that is shipped.
const [how, words] = arguments;
const plain = text => (text ?? "").replace(/\s+/g, " ").trim();
// What is kept from a screen reader and clipped away is not there for anybody.
const shown = element =>
  element.checkVisibility({ visibilityProperty: true }) &&
  element.getClientRects().length > 0 &&
  !element.closest("[aria-hidden=true]");
// A button that says how long it stays is called as it is without the seconds.
const named = text => plain(text).replace(/ \d+ s$/, "");
const called = element =>
  [element.getAttribute("aria-label"), element.innerText, element.value].some(text => named(text) === words);
const fields = () => {
  const labels = [...document.querySelectorAll("label, legend")].filter(label => plain(label.innerText) === words);
  const labelled = labels.map(label => label.control ?? label.parentElement.querySelector("input, select, textarea"));
  return [...labelled, ...document.querySelectorAll(`[aria-label="${CSS.escape(words)}"]`)].filter(Boolean);
};
const found = {
  fill: fields,
  click: () =>
    [...document.querySelectorAll("a[href], button, summary, label, [role=button], [role=tab]")].filter(called),
}[how]();
// Of several, what stands in the page itself before what stands round it.
const order = [...found.filter(element => element.closest("main")), ...found];
return order.find(shown) ?? null;
