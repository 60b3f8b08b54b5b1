// The page: wires the picture, the questions, the answers and the dialogs together.
import { Api } from "./api.js";
import { ask, newAnswer } from "./asking.js";
import { Bridges } from "./bridges.js";
import { Card } from "./card.js";
import { Connection } from "./connection.js";
import { newConversation } from "./conversation.js";
import { HistoryDialog, SettingsDialog } from "./dialogs.js";
import { byId, element, showText } from "./elements.js";
import { History } from "./history.js";
import { Key, loadSettings, saveSettings } from "./settings.js";
import { Stage } from "./stage.js";

const key = new Key(), api = new Api(() => key.value), bridges = new Bridges(), history = new History();
const question = byId("question"), send = byId("send"), stop = byId("stop");
let settings = loadSettings();
let conversation = null; // the one on the page
const running = new Map(); // answer → its AbortController

// say announces a text to screen readers. They read each added paragraph, also when several answers
// end at once.
function say(text) {
	const log = byId("status");
	log.append(element("p", { textContent: text }));
	while (log.childElementCount > 8) log.firstElementChild.remove();
}

// moveFocus goes on to the question, because what had the focus is gone or done. On a touch screen that would
// open the keyboard, so there it goes to another element, if one is given.
function moveFocus(otherwise = null) {
	const to = matchMedia("(pointer: coarse)").matches ? otherwise : question;
	to?.focus({ preventScroll: true });
}

// complain shows a problem beside the question; an empty text takes it away.
function complain(text) {
	showText(byId("problem"), text);
}

const connection = new Connection(api, async back => {
	showText(byId("gone"), back ? "" : "The server does not answer. Check that bridge serve runs at this address. The page tries again every few seconds.");
	if (!back) return;
	say("The server is back.");
	complain("");
	await load();
});

const settingsDialog = new SettingsDialog((saved, newKey, keep) => {
	settings = saved;
	saveSettings(settings);
	const changed = newKey !== key.value;
	key.set(newKey, keep);
	if (changed || bridges.all.length === 0) load();
});

const historyDialog = new HistoryDialog(history, show, id => {
	if (conversation === null || id !== null && id !== conversation.id) return;
	conversation.removed = true;
	show(null);
});

const stage = new Stage(picture => {
	show(newConversation(picture));
	say("Picture: " + (picture.alt || picture.name));
	moveFocus();
}, complain);

// load reads the list of bridges and the kit's pictures.
async function load() {
	try {
		const models = await api.models();
		bridges.show(models);
		if (byId("kit-list").childElementCount === 0) stage.showKit(await api.kit());
	} catch (failure) {
		hear(failure);
	}
}

// hear acts on a failure that is about the server and not about one answer.
function hear(failure) {
	if (failure.kind === "network" || failure.kind === "cut") connection.doubt();
	else if (failure.kind === "key") settingsDialog.open(settings, key, key.value === "" ? "This server asks for an API key. Enter it below." : "The server does not accept this API key. Check it.");
	else if (failure.status === 404) load();
	else complain(failure.sentence);
}

// show puts a conversation on the page; null is the beginning.
function show(next) {
	stopAll();
	conversation = next;
	complain("");
	stage.show(conversation?.picture ?? null);
	byId("turns").replaceChildren(...(conversation?.turns ?? []).map(t => turnOf(conversation, t).root));
	byId("empty").hidden = conversation !== null && conversation.turns.length > 0;
	byId("empty").textContent = (conversation === null ? "Choose a picture, then ask about it." : "Ask about the picture, or leave the question empty for a caption.") + " The answers of the chosen bridges appear here side by side.";
	suggest();
	refresh();
}

// turnOf returns the element of a turn, which is the question with the cards of its answers, and the cards.
function turnOf(of, turn) {
	const cards = turn.answers.map(a => cardOf(of, turn, a));
	const root = element("li", { className: "turn" }, element("h3", { textContent: turn.question || "Caption", dir: "auto" }),
		element("div", { className: "answers" }, ...cards.map(c => c.root)));
	return { root, cards };
}

function cardOf(of, turn, answer) {
	const card = new Card(answer, async old => {
		const fresh = newAnswer(old.model, settings);
		turn.answers.splice(turn.answers.indexOf(old), 1, fresh);
		const next = cardOf(of, turn, fresh);
		card.root.replaceWith(next.root);
		moveFocus(next.root);
		await follow(of, turn, [next]);
	});
	return card;
}

// suggest shows the questions that the kit has for its picture, until one was asked.
function suggest() {
	const questions = conversation === null || conversation.turns.length > 0 ? [] : conversation.picture.questions;
	byId("suggestions").hidden = questions.length === 0;
	byId("suggestions").replaceChildren(...questions.map(q => element("button", { type: "button", textContent: q, onclick: () => start(q) })));
}

// refresh adapts the buttons to what can be done. Of Ask and Stop one is shown; the focus stays on it.
function refresh() {
	const busy = running.size > 0, focused = document.activeElement;
	stop.hidden = !busy;
	send.hidden = busy;
	if (focused === send && busy) stop.focus();
	if (focused === stop && !busy) moveFocus(send);
	send.textContent = question.value.trim() === "" ? "Caption" : "Ask";
	byId("new").disabled = conversation === null;
}

// start asks all chosen bridges a question about the picture.
async function start(text) {
	if (running.size > 0) return;
	if (conversation === null) return complain("Choose a picture first: drop one, paste one, or take one of the kit.");
	if (bridges.chosen.length === 0) {
		complain("The server has not said which bridges it has.");
		return load();
	}
	complain("");
	question.value = "";
	const of = conversation, turn = { question: text, answers: bridges.chosen.map(model => newAnswer(model, settings)) };
	of.turns.push(turn);
	const { root, cards } = turnOf(of, turn);
	byId("turns").append(root);
	byId("empty").hidden = true;
	suggest();
	if (document.activeElement === document.body) moveFocus(cards[0].root); // it was on a suggestion
	root.scrollIntoView({ block: "nearest" });
	stage.fold();
	await follow(of, turn, cards);
}

// follow asks the bridges of some cards at once and waits for all answers.
async function follow(of, turn, cards) {
	await Promise.all(cards.map(async card => {
		const answer = card.answer, control = new AbortController();
		running.set(answer, control);
		refresh();
		let announced = false;
		const failure = await ask(api, of, turn, answer, control.signal, () => {
			card.show();
			if (answer.state === "done" && !announced) {
				announced = true;
				say(`${answer.model}: ${answer.text || "an empty answer"}`);
			}
			keepInView(card);
		});
		running.delete(answer);
		refresh();
		if (failure !== null) report(answer, failure);
	}));
	if (of.removed) return;
	of.changed = Date.now();
	try {
		await history.save(of);
	} catch (error) {
		complain("The conversation could not be kept in this browser: " + error.message + ". Remove old ones in History.");
	}
}

// report announces an answer that failed or was stopped. Its card shows the same.
function report(answer, failure) {
	if (failure.kind === "stopped") return say(`${answer.model}: stopped.`);
	say(`${answer.model}: ${failure.sentence}`);
	if (failure.kind !== "refused" && failure.kind !== "busy" || failure.status === 404) hear(failure);
}

// keepInView scrolls to a growing card of the last turn, unless the person has scrolled up.
function keepInView(card) {
	const turn = card.root.closest(".turn"), page = document.scrollingElement;
	if (turn !== byId("turns").lastElementChild || page.scrollHeight - page.scrollTop - page.clientHeight > 400) return;
	card.root.scrollIntoView({ block: "nearest" });
}

function stopAll() {
	for (const control of running.values()) control.abort();
}

byId("ask").addEventListener("submit", event => {
	event.preventDefault();
	start(question.value.trim());
});
question.addEventListener("input", refresh);
question.addEventListener("keydown", event => {
	if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
	event.preventDefault();
	start(question.value.trim());
});
stop.addEventListener("click", () => {
	stopAll();
	moveFocus(send);
});
byId("new").addEventListener("click", () => {
	show(null);
	byId("file").focus({ preventScroll: true });
});
byId("open-settings").addEventListener("click", () => settingsDialog.open(settings, key));
byId("open-history").addEventListener("click", () => historyDialog.open(conversation?.id ?? null));
document.addEventListener("keydown", event => {
	if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
	if (event.key === "Escape" && running.size > 0) stopAll();
	else if (event.key === "/" && !event.target.matches("input, textarea")) {
		question.focus();
		event.preventDefault();
	}
});
document.addEventListener("visibilitychange", () => {
	if (!document.hidden && !connection.gone && running.size === 0) load();
});

if (!await history.open()) byId("open-history").hidden = true;
show(null);
await load();
