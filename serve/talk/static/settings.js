// The settings and the API key, which the browser keeps.

export const defaults = Object.freeze({ temperature: 0, top_p: 1, seed: null, max_tokens: 20, num_beams: 1, earlier: true, grounding: true });

const place = "bridge.talk.settings", keyPlace = "bridge.talk.key", bridgesPlace = "bridge.talk.bridges";

// read returns the value in a storage, or null. A browser may forbid storages.
function read(storage, name) {
	try {
		return window[storage].getItem(name);
	} catch {
		return null;
	}
}

function write(storage, name, value) {
	try {
		if (value === null) window[storage].removeItem(name);
		else window[storage].setItem(name, value);
	} catch {
		// The page then forgets it when it is closed.
	}
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

// loadSettings returns the settings that were kept, each checked, with defaults for the others.
export function loadSettings() {
	const kept = parse(read("localStorage", place)) ?? {}, settings = { ...defaults };
	for (const name of Object.keys(defaults)) {
		if (name in kept && problemWith(name, kept[name]) === "") settings[name] = kept[name];
	}
	return problemOf(settings) === "" ? settings : { ...defaults };
}

export function saveSettings(settings) {
	write("localStorage", place, JSON.stringify(settings));
}

// The names, limits and kinds of the numbers.
const numbers = {
	temperature: { title: "Temperature", from: 0, to: 2 },
	top_p: { title: "Top-p", from: 0.01, to: 1 },
	seed: { title: "Seed", from: 0, to: Number.MAX_SAFE_INTEGER, whole: true, none: true },
	max_tokens: { title: "Tokens", from: 1, to: 4096, whole: true },
	num_beams: { title: "Beams", from: 1, to: 16, whole: true },
};

function problemWith(name, value) {
	const rule = numbers[name];
	if (!rule) return typeof value === "boolean" ? "" : name + " is not yes or no.";
	if (value === null && rule.none) return "";
	if (typeof value !== "number" || !(value >= rule.from && value <= rule.to) || (rule.whole && !Number.isInteger(value))) {
		return `${rule.title}: enter a ${rule.whole ? "whole " : ""}number from ${rule.from} to ${rule.to}.`;
	}
	return "";
}

// problemOf says what is wrong with settings, or returns "".
export function problemOf(settings) {
	for (const name of Object.keys(defaults)) {
		const problem = problemWith(name, settings[name]);
		if (problem !== "") return problem;
	}
	if (settings.num_beams > 1 && settings.temperature > 0) return "Beams need temperature 0: set one of the two back.";
	return "";
}

// Key is the API key. It is kept until the tab is closed or, if the person wants it, longer.
export class Key {
	get value() {
		return read("sessionStorage", keyPlace) ?? read("localStorage", keyPlace) ?? this.inMemory ?? "";
	}

	get kept() {
		return read("localStorage", keyPlace) !== null;
	}

	set(value, keep) {
		this.inMemory = value;
		write("sessionStorage", keyPlace, value === "" ? null : value);
		write("localStorage", keyPlace, keep && value !== "" ? value : null);
	}
}

// loadBridges returns the bridges that were chosen last.
export function loadBridges() {
	const kept = parse(read("localStorage", bridgesPlace));
	return Array.isArray(kept) ? kept.filter(name => typeof name === "string") : [];
}

export function saveBridges(names) {
	write("localStorage", bridgesPlace, JSON.stringify(names));
}
