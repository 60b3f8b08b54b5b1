"use strict";
// Each list of samples has a form that filters and orders it.
const lists = [...document.querySelectorAll(".filtered")].map(part => {
	const form = part.querySelector("form"), list = part.querySelector("ul.samples"), count = part.querySelector(".count");
	const cards = [...list.children].map((element, index) => ({
		element, index,
		score: element.dataset.score === "" ? NaN : Number(element.dataset.score),
		types: new Set(element.dataset.types.split(" ")),
		text: element.textContent.toLowerCase(),
	}));
	const value = name => form.elements[name] ? form.elements[name].value : "";
	const limit = name => value(name) === "" ? NaN : Number(value(name));
	const apply = () => {
		const type = value("type"), from = limit("from"), to = limit("to"), text = value("text").trim().toLowerCase();
		let shown = 0;
		for (const c of cards) {
			const fits = (type === "" || c.types.has(type)) && (text === "" || c.text.includes(text)) &&
				(isNaN(from) || c.score >= from - 1e-9) && (isNaN(to) || c.score <= to + 1e-9);
			c.element.hidden = !fits;
			if (fits) shown++;
		}
		// Samples without a score come last in both orders.
		const sign = { worst: 1, best: -1 }[value("order")] || 0;
		const place = c => isNaN(c.score) ? Infinity : sign * c.score;
		const ordered = sign === 0 ? cards : [...cards].sort((a, b) => place(a) === place(b) ? a.index - b.index : place(a) - place(b));
		list.append(...ordered.map(c => c.element));
		count.textContent = shown === cards.length ? "" : shown + " shown of the";
	};
	form.addEventListener("input", apply);
	form.addEventListener("submit", event => event.preventDefault());
	form.addEventListener("reset", () => setTimeout(apply));
	form.hidden = false;
	return { part, form, list };
});

// The list that has the focus, or else the first one that ends below the top of the window.
const current = () => lists.find(l => l.part.contains(document.activeElement)) ||
	lists.find(l => l.part.getBoundingClientRect().bottom > 0) || lists[0];

for (const hint of document.querySelectorAll(".keys")) hint.hidden = lists.length === 0;

document.addEventListener("keydown", event => {
	const target = event.target, typing = target.matches("input, select, textarea");
	if (event.ctrlKey || event.metaKey || event.altKey || lists.length === 0) return;
	if (typing) {
		if (event.key === "Escape") target.blur();
		return;
	}
	const { form, list } = current();
	if (event.key === "/") {
		form.elements.text.focus();
		event.preventDefault();
	} else if (event.key === "j" || event.key === "k") {
		const shown = [...list.children].filter(e => !e.hidden), at = shown.indexOf(document.activeElement.closest("ul.samples > li"));
		const next = shown[at < 0 ? 0 : Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), shown.length - 1)];
		if (next) next.focus();
	}
});
