// The card of one bridge's answer.
import { describe } from "./conversation.js";
import { element, showText } from "./elements.js";
import { gaugeOf } from "./gauge.js";

// Card shows an answer: {model, text, state, finish, usage, seconds, first, settings, problem,
// remedy, grounding, groundingProblem}. state is "waiting", "coming", "done", "stopped" or
// "failed". again is called when the person asks for the answer again.
export class Card {
	constructor(answer, again) {
		this.answer = answer;
		this.text = element("p", { className: "text", dir: "auto" });
		this.problem = element("p", { className: "wrong small" });
		this.remedy = element("p", { className: "small" });
		this.meta = element("p", { className: "meta soft small" });
		this.gauge = element("div");
		this.again = element("button", { type: "button", className: "quiet", textContent: "Ask again", onclick: () => again(answer), attr: { "aria-label": "Ask again: " + answer.model } });
		this.buttons = element("div", { className: "buttons" }, this.again);
		this.root = element("article", { className: "answer", tabIndex: -1, attr: { "aria-label": "answer of " + answer.model } },
			element("h4", { className: "soft", textContent: answer.model }), this.text, this.problem, this.remedy, this.meta, this.gauge, this.buttons);
		this.show();
	}

	// show draws the answer's present state.
	show() {
		const a = this.answer, busy = a.state === "waiting" || a.state === "coming";
		this.root.setAttribute("aria-busy", String(busy));
		this.root.dataset.state = a.state;
		this.text.textContent = a.text.trim() === "" && a.state === "done" ? "(an empty answer)" : a.text;
		this.text.hidden = a.text === "" && (a.state === "failed" || a.state === "stopped");
		showText(this.problem, a.problem);
		showText(this.remedy, a.remedy === "" ? "" : "What to do: " + a.remedy);
		this.meta.textContent = metaOf(a);
		this.again.hidden = busy;
		this.buttons.hidden = busy;
		this.gauge.hidden = !a.grounding && !a.groundingProblem;
		if (a.grounding) this.gauge.replaceChildren(gaugeOf(a.grounding));
		else if (a.groundingProblem) this.gauge.replaceChildren(element("p", { className: "soft small", textContent: "Grounding was not measured: " + a.groundingProblem }));
	}
}

// metaOf returns the line below an answer: how it ended, how fast it came, and the settings.
function metaOf(a) {
	if (a.state === "waiting") return a.waitNote || "waiting …";
	if (a.state === "coming") return "";
	const parts = [];
	if (a.state === "stopped") parts.push("stopped");
	if (a.finish === "length") parts.push(`ended after ${a.settings.max_tokens} tokens (see Settings)`);
	if (a.usage) parts.push(`${a.usage.completion_tokens} token${a.usage.completion_tokens === 1 ? "" : "s"}`);
	if (a.seconds > 0) parts.push(duration(a.seconds) + (a.first > 0 && a.first < 0.9 * a.seconds ? `, the first after ${duration(a.first)}` : ""));
	parts.push(describe(a.settings));
	return parts.join(" · ");
}

function duration(seconds) {
	return seconds < 0.995 ? Math.max(1, Math.round(seconds * 1000)) + " ms" : seconds.toPrecision(seconds < 9.95 ? 2 : 3) + " s";
}
