// The list of the server's bridges, of which up to four are chosen.
import { byId, element } from "./elements.js";
import { loadBridges, saveBridges } from "./settings.js";

export const most = 4;

export class Bridges {
	constructor() {
		this.list = byId("bridge-list");
		this.chosen = loadBridges();
		this.all = [];
	}

	// show shows the bridges of the server. Bridges that were chosen stay chosen if the server still
	// has them; otherwise the first one is.
	show(models) {
		if (models.length > 0 && JSON.stringify(models) === JSON.stringify(this.all)) return; // the focus may be in the list
		this.all = models;
		this.chosen = this.chosen.filter(id => models.some(m => m.id === id)).slice(0, most);
		if (this.chosen.length === 0 && models.length > 0) this.chosen = [models[0].id];
		this.list.replaceChildren(...models.map(m => this.#choice(m)));
		if (models.length === 0) this.list.append(element("p", { className: "soft small", textContent: "The server has no bridge. Start it with one: bridge serve MODEL." }));
		this.#limit();
	}

	#choice(model) {
		const box = element("input", { type: "checkbox", value: model.id, checked: this.chosen.includes(model.id) });
		box.addEventListener("change", () => this.#changed(box));
		const parts = model.loaded === false ? "not loaded: its first answer takes longer" : [model.encoder, model.llm].filter(Boolean).join(" → ");
		return element("label", {}, box, element("span", {}, element("span", { textContent: model.id }),
			parts === "" ? null : element("span", { className: "soft small", textContent: parts })));
	}

	// At least one bridge stays chosen.
	#changed(box) {
		const boxes = this.#boxes();
		if (!boxes.some(b => b.checked)) box.checked = true;
		this.chosen = boxes.filter(b => b.checked).map(b => b.value);
		saveBridges(this.chosen);
		this.#limit();
	}

	#limit() {
		byId("bridges-chosen").textContent = this.chosen.join(", ");
		const full = this.chosen.length >= most;
		for (const b of this.#boxes()) b.disabled = full && !b.checked;
	}

	#boxes() {
		return [...this.list.querySelectorAll("input")];
	}
}
