// Asks bridges and follows their answers.
import { Failure } from "./api.js";
import { messagesFor, optionsOf } from "./conversation.js";

const tries = 3, longestWait = 30; // of a server that is busy; seconds
const patience = 4000; // until the card says why an answer may take long; milliseconds

// newAnswer returns the answer of a bridge before it begins.
export function newAnswer(model, settings) {
	return { model, settings: { ...settings }, text: "", state: "waiting", finish: "", usage: null, seconds: 0, first: 0, problem: "", remedy: "", waitNote: "", grounding: null, groundingProblem: "" };
}

// ask asks the bridge of an answer, which is of a turn of a conversation, and fills the answer in.
// changed is called after each change. It throws no failure of the server: the answer then says what
// went wrong, and ask returns it.
export async function ask(api, conversation, turn, answer, signal, changed) {
	const began = performance.now(), elapsed = () => (performance.now() - began) / 1000;
	const late = setTimeout(() => {
		if (answer.state !== "waiting" || answer.waitNote !== "") return;
		answer.waitNote = "waiting … A first answer takes longer, because the server loads or compiles the models for it.";
		changed();
	}, patience);
	try {
		const messages = await messagesFor(conversation, turn, answer.model, answer.settings.earlier);
		const request = { model: answer.model, messages, ...optionsOf(answer.settings) };
		const ended = await untilFree(answer, signal, changed, () => api.answer(request, signal, piece => {
			if (answer.text === "") {
				piece = piece.trimStart();
				if (piece === "") return;
				answer.first = elapsed();
			}
			answer.text += piece;
			answer.state = "coming";
			changed();
		}));
		Object.assign(answer, ended, { state: "done", seconds: elapsed() });
		changed();
		if (answer.settings.grounding && answer.text.trim() !== "") await measure(api, { model: answer.model, messages, answer: answer.text }, answer, signal);
		changed();
		return null;
	} catch (error) {
		const failure = error instanceof Failure ? error : new Failure("refused", error.message);
		answer.seconds = elapsed();
		answer.state = failure.kind === "stopped" ? "stopped" : "failed";
		if (answer.state === "failed") Object.assign(answer, { problem: failure.message, remedy: failure.remedy });
		changed();
		return failure;
	} finally {
		clearTimeout(late);
	}
}

// untilFree repeats a request that the server was too busy for, after the time that the server names.
async function untilFree(answer, signal, changed, request) {
	for (let n = 1; ; n++) {
		try {
			return await request();
		} catch (error) {
			if (error.kind !== "busy" || n === tries || error.after > longestWait || answer.text !== "") throw error;
			answer.waitNote = `${error.message} The page asks again in ${error.after} s.`;
			changed();
			await pause(error.after * 1000, signal);
			answer.waitNote = "";
			changed();
		}
	}
}

function pause(milliseconds, signal) {
	return new Promise((resolve, reject) => {
		const stop = () => {
			clearTimeout(timer);
			reject(new Failure("stopped", "stopped"));
		};
		const timer = setTimeout(() => {
			signal.removeEventListener("abort", stop);
			resolve();
		}, milliseconds);
		signal.addEventListener("abort", stop, { once: true });
	});
}

// measure adds the grounding to an answer. The answer stands without it.
async function measure(api, request, answer, signal) {
	try {
		answer.grounding = await api.grounding(request, signal);
	} catch (error) {
		if (error.kind !== "stopped") answer.groundingProblem = error.message;
	}
}
