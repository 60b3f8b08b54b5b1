// Shows the grounding of an answer: how likely it is with this picture, with another, and with none.
import { element } from "./elements.js";

// meter returns a bar of a share from 0 to 1. Assistive technology reads label and the value's text.
function meter(share, label, text) {
	const bar = element("span");
	bar.style.width = Math.round(share * 1000) / 10 + "%";
	return element("div", { className: "meter", attr: { role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": share.toFixed(3), "aria-valuetext": text } }, bar);
}

// percent writes a probability so that small ones differ.
export function percent(p) {
	if (p >= 0.0995) return Math.round(p * 100) + " %";
	return p >= 0.001 ? (p * 100).toPrecision(2) + " %" : "< 0.1 %";
}

// verdict says what a gauge means.
export function verdict(gauge) {
	if (gauge >= 0.5) return "comes from the picture"; // it makes each token twice as likely
	if (gauge >= 0.2) return "comes partly from the picture";
	return "hardly needs the picture";
}

// gaugeOf returns the element for an answer of /v1/grounding.
export function gaugeOf(grounding) {
	const row = (kind, title, { probability: p }) => {
		return element("div", { className: kind }, element("dt", { textContent: title }),
			element("dd", {}, meter(p, "probability per token with " + title, percent(p))), element("dd", { textContent: percent(p), attr: { "aria-hidden": "true" } }));
	};
	const value = grounding.gauge.toFixed(2);
	return element("div", { className: "gauge" },
		element("div", { className: "headline" }, element("span", { textContent: "Grounding: " + verdict(grounding.gauge) }), element("b", { textContent: value })),
		meter(grounding.gauge, "grounding", value),
		element("dl", { attr: { "aria-label": "mean probability of the answer’s tokens with this picture, another, and none" } },
			row("this", "this picture", grounding.picture),
			row("other", "another", grounding.other),
			row("none", "none", grounding.none)));
}
