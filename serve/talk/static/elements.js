// Makes elements of the page. All text goes in as text, so nothing that a model writes is markup.

// element returns an element with properties, attributes (in attr) and children. A child may be
// null.
export function element(name, { attr = {}, ...properties } = {}, ...children) {
	const made = Object.assign(document.createElement(name), properties);
	for (const [key, value] of Object.entries(attr)) made.setAttribute(key, value);
	made.append(...children.filter(c => c !== null));
	return made;
}

// byId returns the page's element of an id.
export const byId = id => document.getElementById(id);

// showText shows an element with a text, and hides it if the text is empty.
export function showText(shown, text) {
	shown.textContent = text;
	shown.hidden = text === "";
}
