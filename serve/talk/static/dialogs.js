// The dialogs: settings with the API key, and history.
import { byId, element, showText } from "./elements.js";
import { defaults, problemOf } from "./settings.js";

const toggles = ["earlier", "grounding"];

// SettingsDialog shows settings and the key. saved is called with the settings, the key and
// whether to keep it.
export class SettingsDialog {
	constructor(saved) {
		this.dialog = byId("settings");
		this.form = byId("settings-form");
		this.problem = byId("settings-problem");
		this.form.noValidate = true; // problemOf says what is wrong, also for two fields together
		this.form.addEventListener("submit", event => {
			event.preventDefault();
			const settings = this.#read(), problem = problemOf(settings);
			showText(this.problem, problem);
			if (problem !== "") return;
			const { key, keep } = this.form.elements;
			saved(settings, key.value.trim(), keep.checked);
			this.dialog.close();
		});
		byId("reset-settings").addEventListener("click", () => this.#fill(defaults));
	}

	// open shows the dialog. keyProblem says why it opens by itself, or is empty.
	open(settings, key, keyProblem = "") {
		this.#fill(settings);
		this.form.elements.key.value = key.value;
		this.form.elements.keep.checked = key.kept;
		if (!this.dialog.open) this.dialog.showModal();
		showText(byId("key-problem"), keyProblem);
		if (keyProblem !== "") this.form.elements.key.focus();
	}

	#fill(settings) {
		for (const name of Object.keys(defaults)) {
			const field = this.form.elements[name];
			if (toggles.includes(name)) field.checked = settings[name];
			else field.value = settings[name] ?? "";
		}
		showText(this.problem, "");
	}

	#read() {
		const settings = {};
		for (const name of Object.keys(defaults)) {
			const field = this.form.elements[name];
			if (toggles.includes(name)) settings[name] = field.checked;
			else if (field.value === "") settings[name] = name === "seed" && !field.validity.badInput ? null : NaN;
			else settings[name] = Number(field.value);
		}
		return settings;
	}
}

// HistoryDialog lists the conversations that the browser keeps. opened is called with the one that
// the person opens, and removed with the id of each that they remove.
export class HistoryDialog {
	#urls = [];
	#sure = false;

	constructor(history, opened, removed) {
		Object.assign(this, { history, opened, removed });
		this.dialog = byId("history");
		this.list = byId("history-list");
		byId("close-history").addEventListener("click", () => this.dialog.close());
		this.clear = byId("clear-history");
		this.clear.addEventListener("click", async () => {
			if (!this.#sure) return this.#ask(true); // nothing brings the conversations back
			this.#ask(false);
			await history.clear();
			removed(null);
			await this.#fill(null);
			byId("close-history").focus();
		});
		this.dialog.addEventListener("close", () => {
			this.#release();
			this.#ask(false);
		});
	}

	// #ask lets the button that clears all ask back, or sets it back.
	#ask(sure) {
		this.#sure = sure;
		this.clear.textContent = sure ? "Clear all: press again" : "Clear all";
	}

	// open shows the dialog. current is the id of the conversation on the page, or null.
	async open(current) {
		await this.#fill(current);
		this.dialog.showModal();
	}

	async #fill(current) {
		const conversations = await this.history.list();
		this.#release();
		this.list.replaceChildren(...conversations.map(c => this.#entry(c, current)));
		this.clear.hidden = conversations.length === 0;
		byId("history-note").textContent = conversations.length === 0 ? "No conversations are kept in this browser." : "Conversations are in this browser only. The server keeps none.";
	}

	#entry(conversation, current) {
		const url = URL.createObjectURL(conversation.picture.blob), first = conversation.turns[0];
		this.#urls.push(url);
		const title = first?.question || first?.answers.find(a => a.text !== "")?.text || conversation.picture.name;
		const when = new Date(conversation.changed).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
		const turns = conversation.turns.length;
		const open = element("button", { type: "button", className: "entry", attr: { "aria-current": String(conversation.id === current) } },
			element("img", { src: url, alt: "" }),
			element("span", {}, element("b", { textContent: title }), element("span", { className: "soft small", textContent: `${when} · ${turns} question${turns === 1 ? "" : "s"}` })));
		open.addEventListener("click", () => {
			this.dialog.close();
			this.opened(conversation);
		});
		const remove = element("button", { type: "button", className: "quiet", textContent: "Remove", attr: { "aria-label": "Remove " + title } });
		remove.addEventListener("click", async () => {
			await this.history.remove(conversation.id);
			this.removed(conversation.id);
			await this.#fill(current);
			byId("close-history").focus();
		});
		return element("li", {}, open, remove);
	}

	#release() {
		for (const url of this.#urls.splice(0)) URL.revokeObjectURL(url);
	}
}
